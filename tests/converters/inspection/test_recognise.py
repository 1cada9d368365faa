"""What the recogniser makes of checkpoints of each kind, and what it counts."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.inspection.plain_words import giga, percent, read_aloud
from converters.inspection.recognise import recognise
from converters.inspection.recognition import Gain, Recognition
from converters.ir.counting import count
from converters.ir.graph import build_graph
from converters.model.compaction import compact
from converters.model.encoder import Attention, Bottleneck, Embeddings, Encoder, FeedForward, Layer, Linear, Norm
from converters.model.matrices import multiply_adds
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint

SIZES = {"layers": 2, "hidden": 128, "heads": 4, "ffn": 256}
MATRICES = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


def name_of(layer: int, part: str, kind: str = "weight") -> str:
    return f"bert.encoder.layer.{layer}.{part}.{kind}"


def each_matrix(tensors):
    for layer in range(2):
        for part in MATRICES:
            yield tensors[name_of(layer, part)]


def zero_blocks(weight: np.ndarray, block: tuple[int, int], share: float, seed: int) -> None:
    """Set exactly that share of the aligned blocks to zero."""
    grid = np.ones((weight.shape[0] // block[0], weight.shape[1] // block[1]), np.float32)
    flat = grid.reshape(-1)
    flat[np.random.default_rng(seed).permutation(flat.size)[: round(share * flat.size)]] = 0
    weight *= np.kron(grid, np.ones(block, np.float32))


def remove_heads(tensors, layer: int, heads: list[int], size: int = 32) -> None:
    """Remove heads as transformers does: rows of Q, K, V and columns of the output."""
    keep = np.array([head not in heads for head in range(4)]).repeat(size)
    for part in MATRICES[:3]:
        for kind in ("weight", "bias"):
            tensors[name_of(layer, part, kind)] = tensors[name_of(layer, part, kind)][keep]
    output = name_of(layer, "attention.output.dense")
    tensors[output] = np.ascontiguousarray(tensors[output][:, keep])


def recognised(folder: Path, tensors, **config) -> Recognition:
    whole = bert_config(**SIZES) | config
    checkpoint = read_checkpoint(write_checkpoint(folder, tensors=tensors, config=whole))
    return recognise(read_encoder(checkpoint), checkpoint.config)


@pytest.fixture
def tensors():
    return bert_tensors(**SIZES)


def test_the_carried_checkpoint_is_dense(checkpoint):
    source = read_checkpoint(checkpoint)
    found = recognise(read_encoder(source), source.config)
    assert found.kind == "dense"
    assert [layer.heads for layer in found.layers] == [12] * 6
    assert all(layer.removed == () and not layer.dead and not layer.mixing for layer in found.layers)
    assert {gain.after - gain.before for gain in found.gains} == {0}
    assert found.weights == 6 * (4 * 384 * 384 + 2 * 384 * 1536) + 2 * 384
    assert found.notes == ()


def test_1x4_block_sparse(tmp_path, tensors):
    for seed, weight in enumerate(each_matrix(tensors)):
        zero_blocks(weight, (4, 1), 0.8, seed)
    found = recognised(tmp_path, tensors)
    assert found.kind == "1x4 block sparse"
    zeros = {tensor.name: tensor.zeros for tensor in found.tensors}
    assert zeros["encoder.layer.1.ffn.0.up"].block == (4, 1)
    assert zeros["encoder.layer.1.ffn.0.up"].sparsity == pytest.approx(0.8, abs=1e-3)
    assert zeros["qa.logits"].verdict == zeros["embeddings.word"].verdict == "dense"
    (left,) = found.remaining
    assert left.matrices == 12
    assert left.zeros == found.zeros
    assert left.zeros == 2 * (4 * 4 * round(0.8 * 32 * 128) + 2 * 4 * round(0.8 * 32 * 256))
    said = " ".join(read_aloud(found, amx=False))
    assert "4 outputs x 1 input (1x4)" in said
    assert "needs a CPU with AMX, which this one has not: no gain in speed is to be expected" in said
    assert "The native engine skips aligned 4x1 blocks" in said
    assert "this one has it" in " ".join(read_aloud(found, amx=True))


def test_unstructured_at_90_percent(tmp_path, tensors):
    for seed, weight in enumerate(each_matrix(tensors)):
        zero_blocks(weight, (1, 1), 0.9, seed)
    found = recognised(tmp_path, tensors)
    assert found.kind == "unstructured"
    assert found.zeros / found.weights == pytest.approx(0.9, abs=0.002)
    assert [part.pattern for part in found.remaining] == ["unstructured"]


def test_block_sparse_with_pruned_heads(tmp_path):
    tensors = bert_tensors(layers=2, hidden=512, heads=16, ffn=256)
    for layer, heads in ((0, [1, 3]), (1, [0])):
        keep = np.array([head not in heads for head in range(16)]).repeat(32)
        for part in MATRICES[:3]:
            zero_blocks(tensors[name_of(layer, part)], (32, 32), 0.6, layer)
            for kind in ("weight", "bias"):
                tensors[name_of(layer, part, kind)] = tensors[name_of(layer, part, kind)][keep]
        output = name_of(layer, "attention.output.dense")
        tensors[output] = np.ascontiguousarray(tensors[output][:, keep])
    config = {"hidden_size": 512, "num_attention_heads": 16, "pruned_heads": {"0": [1, 3], "1": [0]}}
    found = recognised(tmp_path, tensors, **config)
    assert found.kinds == ("block-sparse / structured (nn_pruning)", "pruned heads")
    first, second = found.layers
    assert (first.heads, first.heads_original, first.head_size) == (14, 16, 32)
    assert first.removed == (1, 3)
    assert first.head_numbers == (0, 2, *range(4, 16))
    assert second.removed == (0,)
    states = first.head_states()
    assert [states[0], states[1], states[2], states[3]] == ["live", "removed", "live", "removed"]
    blocks = {tensor.zeros.block for tensor in found.tensors if tensor.name.endswith(("query", "key", "value"))}
    assert blocks == {(32, 32)}
    assert found.notes == ()


def test_pruned_heads_that_nobody_names(tmp_path, tensors):
    remove_heads(tensors, 1, [0, 2])
    found = recognised(tmp_path, tensors)
    assert found.kind == "pruned heads"
    assert found.layers[1].removed is None
    assert found.layers[1].head_states() == ("live", "live", "removed", "removed")
    assert "missing in layer 1: which ones is not known" in found.notes[0]


def test_pruned_heads_that_do_not_fit_the_weights(tmp_path, tensors):
    remove_heads(tensors, 1, [0, 2])
    assert recognised(tmp_path, tensors, pruned_heads={"1": [0]}).layers[1].removed is None
    assert recognised(tmp_path / "b", tensors, pruned_heads={"1": ["a", 9]}).layers[1].removed is None


def test_original_heads_without_a_configuration(tmp_path, tensors):
    remove_heads(tensors, 0, [3])
    source = read_checkpoint(write_checkpoint(tmp_path, tensors=tensors, config=bert_config(**SIZES)))
    assert [layer.heads_original for layer in recognise(read_encoder(source), {}).layers] == [4, 4]


def test_hybrid_filled(tmp_path, tensors):
    for layer, kept in enumerate((100, 256)):
        tensors[name_of(layer, "intermediate.dense")][kept:] = 0
        tensors[name_of(layer, "intermediate.dense", "bias")][kept:] = 0
        tensors[name_of(layer, "output.dense")][:, kept:] = 0
    found = recognised(tmp_path, tensors)
    assert found.kind == "hybrid-filled"
    assert [layer.feed_forwards[0].kept for layer in found.layers] == [100, 256]
    assert [layer.feed_forwards[0].padded for layer in found.layers] == [True, False]
    # 156 neurons of 128 weights each way are gone afterwards.
    assert [gain.before - gain.after for gain in found.gains] == [156 * 2 * 128 * 384, 156 * 2 * 128 * 178]
    assert found.remaining == ()


def test_neurons_with_a_bias_are_no_padding(tmp_path, tensors):
    tensors[name_of(0, "intermediate.dense")][100:] = 0
    tensors[name_of(0, "output.dense")][:, 100:] = 0
    found = recognised(tmp_path, tensors)
    assert found.kind == "block-sparse / structured (nn_pruning)"
    assert not found.layers[0].feed_forwards[0].padded


def test_dead_neurons_on_either_side(tmp_path, tensors):
    tensors[name_of(0, "intermediate.dense")][[3, 7]] = 0
    tensors[name_of(0, "output.dense")][:, [7, 9, 200]] = 0
    found = recognised(tmp_path, tensors)
    assert found.layers[0].feed_forwards[0].kept == 256 - 4
    assert found.kind == "block-sparse / structured (nn_pruning)"


def test_a_few_neurons_that_sparse_blocks_emptied_are_no_structure(tmp_path, tensors):
    for seed, weight in enumerate(each_matrix(tensors)):
        zero_blocks(weight, (4, 1), 0.8, seed)
    tensors[name_of(0, "intermediate.dense")][:8] = 0
    tensors[name_of(0, "output.dense")][:, :8] = 0
    assert recognised(tmp_path, tensors).kind == "1x4 block sparse"


def test_dead_and_mixing_heads(tmp_path, tensors):
    tensors[name_of(0, "attention.self.value")][32:64] = 0  # head 1
    tensors[name_of(0, "attention.output.dense")][:, 96:] = 0  # head 3
    tensors[name_of(0, "attention.self.key")][:64] = 0  # heads 0 and 1
    found = recognised(tmp_path, tensors)
    assert found.layers[0].dead == (1, 3)
    assert found.layers[0].mixing == (0,)
    assert found.layers[0].head_states() == ("mixing", "dead", "live", "dead")
    assert "zeroed heads" in found.kinds
    # Two heads of 32: four matrices of 128 x 32 a head, and scores and mixture of 32 each.
    assert found.gains[0].before - found.gains[0].after == 2 * (4 * 128 * 32 * 384 + 2 * 32 * 384**2)
    said = " ".join(read_aloud(found, amx=False))
    assert "2 heads still there have all-zero values" in said
    assert "1 head has all-zero queries or keys" in said


def test_removable_heads_are_those_that_compaction_removes(tmp_path, tensors):
    tensors[name_of(1, "attention.self.value")][:64] = 0
    tensors[name_of(1, "attention.self.query")][64:] = 0
    source = read_checkpoint(write_checkpoint(tmp_path, tensors=tensors, config=bert_config(**SIZES)))
    encoder = read_encoder(source)
    report = recognise(encoder, source.config).layers[1]
    assert report.heads - len(report.dead) == compact(encoder).layers[1].attention.heads == 2


def test_ragged_widths(tmp_path, tensors):
    for part, cut in (("intermediate.dense", np.s_[:90]), ("output.dense", np.s_[:, :90])):
        tensors[name_of(0, part)] = np.ascontiguousarray(tensors[name_of(0, part)][cut])
    tensors[name_of(0, "intermediate.dense", "bias")] = tensors[name_of(0, "intermediate.dense", "bias")][:90]
    found = recognised(tmp_path, tensors)
    assert found.kind == "narrowed feed-forward"
    block = found.layers[0].feed_forwards[0]
    assert (block.width, block.kept, block.original) == (90, 90, 256)
    assert found.gains[0].unpruned - found.gains[0].before == (256 - 90) * 2 * 128 * 384
    assert found.notes == ("config.json says intermediate_size 256, the weights have 90, 256",)


def test_tinybert_and_its_wrong_head_size(tmp_path, tensors):
    config = {"architectures": ["TinyBertForQuestionAnswering"], "hidden_act": "relu", "attention_head_size": 26}
    found = recognised(tmp_path, tensors, **config)
    assert found.kinds == ("dense", "TinyBERT-like")
    assert found.activation == "relu"
    assert found.notes == ("config.json says attention_head_size 26, the weights have 32",)
    assert "TinyBERT-like" in recognised(tmp_path / "b", tensors, cell={}, structure=[], pre_trained="").kinds


def test_mixtures(tmp_path, tensors):
    zero_blocks(tensors[name_of(0, "intermediate.dense")], (4, 1), 0.8, 0)
    zero_blocks(tensors[name_of(1, "output.dense")], (1, 1), 0.8, 1)
    tensors[name_of(1, "intermediate.dense")][200:] = 0
    tensors[name_of(1, "intermediate.dense", "bias")][200:] = 0
    tensors[name_of(1, "output.dense")][:, 200:] = 0
    found = recognised(tmp_path, tensors)
    assert found.kinds == ("hybrid-filled", "1x4 block sparse", "unstructured")
    assert found.kind == "hybrid-filled + 1x4 block sparse + unstructured"


def test_a_recognition_is_ready_for_json(tmp_path, tensors):
    remove_heads(tensors, 0, [1])
    found = recognised(tmp_path, tensors)
    again = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert again["layers"][0]["heads"] == 3
    assert again["tensors"][0]["zeros"]["shape"] == [96, 128]


# Multiply-adds


def test_multiply_adds_by_hand(tmp_path):
    sizes = {"layers": 1, "hidden": 8, "heads": 2, "ffn": 12}
    folder = write_checkpoint(tmp_path, tensors=bert_tensors(**sizes), config=bert_config(**sizes))
    encoder = read_encoder(read_checkpoint(folder))
    # 5 tokens: four 8x8 matrices, two of 8x12 and a head of 2x8; two heads of scores and mixture of size 4.
    assert multiply_adds(encoder, 5) == (4 * 64 + 2 * 96 + 16) * 5 + 2 * (4 + 4) * 25


RANDOM = np.random.default_rng(0)  # one for all: OpenVINO counts products with equal weights once


def linear(outputs: int, inputs: int) -> Linear:
    return Linear(RANDOM.normal(size=(outputs, inputs)).astype(np.float32), np.zeros(outputs, np.float32))


def norm(size: int, epsilon: float | None = 1e-12) -> Norm:
    return Norm(np.ones(size, np.float32), np.zeros(size, np.float32), epsilon)


def layer(heads: int, *widths: int, hidden: int = 16, size: int = 4) -> Layer:
    rows = heads * size
    query, key, value = (linear(rows, hidden) for _ in range(3))
    attention = Attention(heads, 0.5, query, key, value, linear(hidden, rows))
    blocks = tuple(FeedForward(linear(width, hidden), linear(hidden, width), norm(hidden)) for width in widths)
    return Layer(attention, norm(hidden), blocks)


def encoder_of(*layers: Layer, narrow: int = 16, **embeddings) -> Encoder:
    tables = Embeddings(
        linear(30, narrow).weight,
        linear(64, narrow).weight,
        0,
        None,
        norm(embeddings.pop("normed", narrow)),
        **embeddings,
    )
    return Encoder("bert", tables, layers, "gelu", linear(2, 16))


def bottleneck_layer() -> Layer:
    middle = Bottleneck(linear(8, 16), norm(8, None), linear(8, 16), norm(8, None), linear(16, 8), norm(16, None))
    attention = Attention(2, 0.5, linear(8, 8), linear(8, 8), linear(8, 16), linear(8, 8))
    blocks = tuple(FeedForward(linear(20, 8), linear(8, 20), norm(8, None)) for _ in range(3))
    return Layer(attention, norm(8, None), blocks, middle)


SHARED = layer(4, 24)
ENCODERS = {
    "ragged": encoder_of(layer(4, 24), layer(1, 7), layer(0, 24), layer(3, 0), layer(0, 0)),
    "several blocks": encoder_of(layer(2, 16, 16, 16), layer(4, 8)),
    "shared layers": encoder_of(SHARED, SHARED, narrow=6, projection=linear(16, 6)),
    "bottlenecks": encoder_of(bottleneck_layer(), bottleneck_layer()),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("tokens", [1, 23, 64])
def test_multiply_adds_agree_with_those_counted_on_the_graph(name, tokens):
    encoder = ENCODERS[name]
    assert multiply_adds(encoder, tokens) == count(build_graph(encoder), tokens).multiply_adds


def test_what_was_pruned_before_is_added_again():
    whole, cut = encoder_of(layer(4, 24), layer(4, 24)), encoder_of(layer(1, 24), layer(0, 5))
    config = {"num_attention_heads": 4, "intermediate_size": 24}
    for before, after in zip(recognise(whole, config).gains, recognise(cut, config).gains, strict=True):
        assert isinstance(after, Gain)
        assert after.unpruned == before.before == before.unpruned


def test_layers_without_anything_left():
    found = recognise(encoder_of(layer(0, 0)), {"num_attention_heads": 4})
    assert found.kinds == ("pruned heads",)
    assert found.layers[0].head_states() == ("removed",) * 4
    assert found.layers[0].weights == 0


def test_matrices_of_shared_layers_are_reported_each_time_they_are_used():
    found = recognise(ENCODERS["shared layers"], {})
    names = [tensor.name for tensor in found.tensors]
    assert "encoder.layer.1.ffn.0.up" in names
    assert names[0] == "embeddings.projection"
    parameters = sum(array.size for array in {id(a): a for a in arrays_of(ENCODERS["shared layers"])}.values())
    assert found.parameters == parameters


def arrays_of(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from arrays_of(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from arrays_of(getattr(value, field.name))


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0.0 %"), (1e-7, "<0.1 %"), (0.8, "80.0 %"), (0.99999, ">99.9 %"), (1.0, "100.0 %")]
)
def test_percent_never_rounds_to_nothing_or_everything(share, words):
    assert percent(share) == words


def test_giga():
    assert giga(35_333_406_720) == "35.33 G"
    assert giga(2_720_000) == "2.72 M"
