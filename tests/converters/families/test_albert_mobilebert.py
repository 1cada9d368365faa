"""What sets ALBERT and MobileBERT apart: weights that act again, narrow middles. The rest: test_families.py."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.ir.graph import build_graph
from converters.model.encoder import Encoder
from converters.verification.reference import reference_logits
from edge_qa import QuestionAnswerer
from edge_qa._openvino import this_core
from edge_qa.bundle.manifest import OUTPUT_ROLES
from edge_qa.errors import CheckpointError
from tests.support.places import GOLDEN_FILES

GOLDEN = GOLDEN_FILES / "families"
TOLERANCE = 1e-4
WORDS = "the tide rises at noon ada flew a pilot twice gauge reads five metres in the harbour"


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Checkpoint:
    return read_checkpoint(GOLDEN / request.param)


def of(*names: str):
    return pytest.mark.parametrize("source", names, indirect=True)


def with_config(source: Checkpoint, **changes: object) -> Checkpoint:
    return replace(source, config=source.config | changes)


def turns(encoder: Encoder) -> list[int]:
    """For each layer the place at which the same Layer object stood first."""
    first: dict[int, int] = {}
    return [first.setdefault(id(layer), index) for index, layer in enumerate(encoder.layers)]


# ALBERT


def test_layers_that_act_again_are_the_same_layer():
    assert turns(read_encoder(read_checkpoint(GOLDEN / "albert"))) == [0, 1, 0, 1]
    # Three groups in four turns: transformers applies group int(turn / (4 / 3)), that is 0, 0, 1, 2.
    assert turns(read_encoder(read_checkpoint(GOLDEN / "albert-groups"))) == [0, 0, 2, 3]


@of("albert-groups")
def test_groups_of_several_layers_take_uneven_turns(source):
    tensors = {}
    for name, array in source.tensors.items():
        tensors |= {name: array, name.replace("albert_layers.0.", "albert_layers.1."): array}
    changed = replace(with_config(source, num_hidden_layers=7, inner_group_num=2), tensors=tensors)
    # int(turn / (7 / 3)) is 0 0 0 1 1 2 2, and each group is two layers.
    assert turns(read_encoder(changed)) == [0, 1, 0, 1, 0, 1, 6, 7, 6, 7, 10, 11, 10, 11]


@of("albert", "albert-groups")
def test_shared_weights_are_stored_and_counted_once(source, tmp_path):
    result = convert(source.path, tmp_path / "bundle")
    wanted = sum(array.size for array in source.tensors.values())
    assert result.manifest.model.parameters == wanted
    assert result.manifest.model.layers == 4
    stored = sum(array.size * (2 if array.ndim == 2 else 4) for array in source.tensors.values())
    # Besides the weights, the file holds a few scalars and axes.
    assert stored <= (tmp_path / "bundle" / "model.bin").stat().st_size < stored + 600


@of("albert", "albert-groups")
def test_every_turn_reads_the_constant_of_the_first(source):
    model = build_graph(read_encoder(source))
    names = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
    queries = {name for name in names if name.endswith("attention.query.weight")}
    place = {"albert": (0, 1), "albert-groups": (0, 2, 3)}[source.path.name]
    assert queries == {f"encoder.layer.{index}.attention.query.weight" for index in place}
    # The turns themselves keep their own names.
    names = {node.get_friendly_name() for node in model.get_ordered_ops()}
    assert {f"encoder.layer.{index}.attention.probabilities" for index in range(4)} <= names


@of("albert")
def test_more_groups_than_turns_are_refused(source):
    with pytest.raises(CheckpointError, match="num_hidden_groups: got 5, wanted at most num_hidden_layers"):
        read_encoder(with_config(source, num_hidden_groups=5, num_hidden_layers=4))


@of("albert")
def test_all_problems_of_an_albert_are_reported_at_once(source):
    lost = "albert.encoder.albert_layer_groups.0.albert_layers.1.ffn_output.weight"
    tensors = {name: array for name, array in source.tensors.items() if name != lost}
    tensors["albert.encoder.embedding_hidden_mapping_in.bias"] = np.zeros(7, np.float32)
    changed = replace(with_config(source, position_embedding_type="relative_key", hidden_act="xielu"), tensors=tensors)
    with pytest.raises(CheckpointError) as caught:
        read_encoder(changed)
    message = str(caught.value)
    for problem in (f"{lost}: missing", "mapping_in.bias: got 7, wanted 24", "'relative_key'", "'xielu'"):
        assert problem in message
    assert message.count("albert_layers") == 1


# MobileBERT


def padded_rows(longest: int, lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    real = np.arange(longest) < np.array(lengths)[:, None]
    return {
        "input_ids": random.integers(5, 300, real.shape) * real,
        "attention_mask": real.astype(np.int64),
        "token_type_ids": random.integers(0, 2, real.shape) * real,
        "position_ids": np.broadcast_to(np.arange(longest), real.shape),
    }


@of("mobilebert")
def test_padding_does_not_change_a_token_whatever_its_embedding(source):
    """Each row of a padded batch is what the row gives alone, although a token reads its neighbours."""
    name = "mobilebert.embeddings.word_embeddings.weight"
    loud = source.tensors[name].copy()
    loud[0] = 5
    encoder = read_encoder(replace(source, tensors=source.tensors | {name: loud}))
    compiled = this_core().compile_model(build_graph(encoder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs):
        results = compiled(inputs, share_inputs=False)
        return [np.array(results[role]) for role in OUTPUT_ROLES]

    inputs, lengths = padded_rows(40, (40, 23, 9)), (40, 23, 9)
    for compute in (run, lambda given: reference_logits(encoder, given)):
        together = compute(inputs)
        for row, length in enumerate(lengths):
            alone = compute({role: array[row : row + 1, :length] for role, array in inputs.items()})
            for batch, single in zip(together, alone, strict=True):
                worst = np.abs(batch[row, :length] - single[0]).max() / max(1, np.abs(single).max())
                assert worst <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mobilebert", ("shared", [16, 24], True, 30, None, 3)),
        ("mobilebert-norm", ("narrow", [16, 16], False, 10, 1e-5, 1)),
        ("mobilebert-whole", ("whole", [24, 24], False, None, None, 1)),
        ("mobilebert-flat", (None, [24, 24], False, 30, None, 2)),
    ],
)
def test_the_variants_are_read_as_configured(name, wanted):
    """What attention reads, the widths of queries and values, the shared map, the widening, the norm, the blocks."""
    encoder = read_encoder(read_checkpoint(GOLDEN / name))
    layer, widen = encoder.layers[-1], encoder.embeddings.widen
    middle = layer.bottleneck
    assert (
        None if middle is None else middle.attention_input,
        [layer.attention.query.inputs, layer.attention.value.inputs],
        middle is not None and middle.shared is not None,
        None if widen is None else widen.inputs,
        encoder.embeddings.norm.epsilon,
        len(layer.feed_forwards),
    ) == wanted


def test_some_norms_of_mobilebert_ignore_the_configured_epsilon():
    layer = read_encoder(read_checkpoint(GOLDEN / "mobilebert-norm")).layers[0]
    assert layer.bottleneck is not None
    assert [norm.epsilon for norm in (layer.attention_norm, layer.bottleneck.input_norm)] == [0.3, 0.3]
    assert layer.feed_forwards[-1].norm.epsilon == 1e-5


@of("mobilebert")
def test_all_problems_of_a_mobilebert_are_reported_at_once(source):
    lost = "mobilebert.encoder.layer.1.ffn.1.intermediate.dense.weight"
    tensors = {name: array for name, array in source.tensors.items() if name != lost}
    tensors["mobilebert.encoder.layer.0.bottleneck.attention.dense.weight"] = np.zeros((16, 9), np.float32)
    changed = with_config(source, normalization_type="batch_norm", trigram_input="yes")
    with pytest.raises(CheckpointError) as caught:
        read_encoder(replace(changed, tensors=tensors))
    message = str(caught.value)
    for problem in (
        f"{lost}: missing",
        "bottleneck.attention.dense.weight: got 16x9, wanted 16x24",
        "normalization_type: got 'batch_norm'",
        "trigram_input: got 'yes'",
    ):
        assert problem in message
    assert message.count("layer.1.") == 1


@of("mobilebert")
def test_attention_around_a_bottleneck_of_another_width_is_refused(source):
    with pytest.raises(CheckpointError, match=r"got false twice.*intra_bottleneck_size \(16\)"):
        read_encoder(with_config(source, key_query_shared_bottleneck=False))


# Both


@of("albert", "mobilebert-norm", "mobilebert-whole")
def test_parts_that_play_no_part_are_left_out_in_silence_and_unknown_ones_named(source, caplog):
    prefix = "albert." if source.path.name == "albert" else "mobilebert."
    other = ["predictions.bias", "sop_classifier.weight"] if prefix == "albert." else ["cls.predictions.bias"]
    names = [f"{prefix}pooler.weight", f"{prefix}embeddings.position_ids", *other]
    tensors = source.tensors | dict.fromkeys(names, np.zeros(3, np.float32))
    with caplog.at_level(logging.WARNING):
        read_encoder(replace(source, tensors=tensors))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        read_encoder(replace(source, tensors=tensors | {f"{prefix}adapter.weight": np.zeros(3, np.float32)}))
    assert [record.getMessage().count("adapter.weight") for record in caplog.records] == [1]


@of("albert", "mobilebert")
def test_a_checkpoint_without_the_prefix_reads_alike(source):
    prefix = f"{source.path.name}."
    bare = {name.removeprefix(prefix): array for name, array in source.tensors.items()}
    inputs = padded_rows(20, (20, 11))
    wanted = reference_logits(read_encoder(source), inputs)
    for got, logits in zip(reference_logits(read_encoder(replace(source, tensors=bare)), inputs), wanted, strict=True):
        assert np.array_equal(got, logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["albert", "mobilebert"])
def test_quantized_logits_stay_close(name, tmp_path):
    """ALBERT's shared constants stay shared and right; so do MobileBERT's scales without a norm."""
    from calibration.quantization.options import QuantizationOptions
    from calibration.quantization.quantize import quantize

    folder = tmp_path / "checkpoint"
    shutil.copytree(GOLDEN / name, folder)
    tensors = load_file(folder / "model.safetensors")
    for key, array in tensors.items():
        # The goldens are drawn sharp, to show every mistake; 8 bits need a model that forgives as trained ones do.
        if array.ndim == 2 and "embeddings." not in key and "qa_outputs" not in key:
            tensors[key] = array * np.float32(0.4)
    save_file(tensors, folder / "model.safetensors")
    words = WORDS.split()
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, random.integers(6, 16))) for _ in range(24)]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": "Who rises?", "context": text}) + "\n" for text in texts))
    convert(folder, tmp_path / "fp16")
    result = quantize(tmp_path / "fp16", tmp_path / "int8", calibration=file, options=QuantizationOptions(samples=16))
    assert result.manifest.model.parameters == sum(array.size for array in tensors.values())
    before, after = (QuestionAnswerer.load(tmp_path / kind) for kind in ("fp16", "int8"))
    alike, changed = [], []
    for text in texts[:8]:
        windows = list(before.windows("Who rises?", text))
        for wanted, got in zip(before.engine.logits(windows), after.engine.logits(windows), strict=True):
            alike.append(np.corrcoef(wanted[0], got[0])[0, 1])
            changed.append(np.abs(wanted[0] - got[0]).max())
    assert min(alike) > 0.99
    assert max(changed) > 0  # it is quantized
    sizes = [(tmp_path / kind / "model.bin").stat().st_size for kind in ("fp16", "int8")]
    assert sizes[1] < 0.8 * sizes[0]
