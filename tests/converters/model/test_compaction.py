"""Compaction: what has no effect is removed, what is constant is folded, and the logits stay."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.checkpoints.checkpoint import read_checkpoint
from converters.cli.convert import convert as convert_command
from converters.conversion import convert
from converters.families import read_encoder
from converters.ir.graph import build_graph
from converters.model import compaction
from converters.model.compaction import compact, report_compaction
from converters.model.encoder import (
    Attention,
    Bottleneck,
    Embeddings,
    Encoder,
    FeedForward,
    Layer,
    Linear,
    Norm,
    named_arrays,
)
from converters.verification.reference import reference_logits
from edge_qa._openvino import this_core
from edge_qa.errors import VerificationError
from tests.support.checkpoints import bert_tensors, write_checkpoint

HIDDEN, NARROW, VOCABULARY, TOKENS = 12, 8, 20, 7
ACTIVATIONS = ("gelu", "gelu_10", "gelu_tanh", "mish", "quick_gelu", "relu", "relu2", "silu", "tanh")
HEAD_KINDS = ("whole", "zero v", "zero output", "zero v and output", "zero q", "zero k", "zero q and k", "zero q and v")
NEURON_KINDS = ("whole", "zero row", "zero column", "zero row and column")
# What the module's table says may go without a change of the logits.
REMOVABLE_HEADS = {"zero v", "zero output", "zero v and output", "zero q and v"}
REMOVABLE_NEURONS = {"zero row", "zero column", "zero row and column"}


def draw(random: np.random.Generator, *shape: int, scale: float = 0.5) -> np.ndarray:
    return random.normal(0, scale, shape).astype(np.float32)


def linear(random: np.random.Generator, outputs: int, inputs: int) -> Linear:
    return Linear(draw(random, outputs, inputs), draw(random, outputs))


def attention_of(random: np.random.Generator, kinds: tuple[str, ...], inputs: int, outputs: int) -> Attention:
    """Heads of key size 3 and value size 2, with zeros as `kinds` says; biases are never zero."""
    heads, d, v = len(kinds), 3, 2
    parts = {
        "q": linear(random, heads * d, inputs),
        "k": linear(random, heads * d, inputs),
        "v": linear(random, heads * v, HIDDEN),
        "output": linear(random, outputs, heads * v),
    }
    for head, kind in enumerate(kinds):
        for part in kind.removeprefix("zero ").split(" and "):
            if part in ("q", "k"):
                parts[part].weight[head * d : (head + 1) * d] = 0
            elif part == "v":
                parts["v"].weight[head * v : (head + 1) * v] = 0
            elif part == "output":
                parts["output"].weight[:, head * v : (head + 1) * v] = 0
    return Attention(heads, 0.4, parts["q"], parts["k"], parts["v"], parts["output"])


def block_of(random: np.random.Generator, kinds: tuple[str, ...], size: int, epsilon: float | None) -> FeedForward:
    up, down = linear(random, len(kinds), size), linear(random, size, len(kinds))
    for neuron, kind in enumerate(kinds):
        if "row" in kind:
            up.weight[neuron] = 0
        if "column" in kind:
            down.weight[:, neuron] = 0
    return FeedForward(up, down, norm_of(random, size, epsilon))


def norm_of(random: np.random.Generator, size: int, epsilon: float | None) -> Norm:
    return Norm(1 + draw(random, size, scale=0.1), draw(random, size, scale=0.1), epsilon)


def bottleneck_of(random: np.random.Generator, epsilon: float | None) -> Bottleneck:
    return Bottleneck(
        linear(random, NARROW, HIDDEN),
        norm_of(random, NARROW, epsilon),
        linear(random, NARROW, HIDDEN),
        norm_of(random, NARROW, epsilon),
        linear(random, HIDDEN, NARROW),
        norm_of(random, HIDDEN, epsilon),
    )


def encoder_of(
    heads: list[tuple[str, ...]],
    blocks: list[list[tuple[str, ...]]],
    *,
    activation: str = "gelu",
    epsilon: float | None = 1e-12,
    bottleneck: bool = False,
    seed: int = 0,
) -> Encoder:
    """One layer for each entry of `heads` and `blocks`."""
    random = np.random.default_rng(seed)
    size = NARROW if bottleneck else HIDDEN
    layers = tuple(
        Layer(
            attention_of(random, kinds, size, size),
            norm_of(random, size, epsilon),
            tuple(block_of(random, neurons, size, epsilon) for neurons in layer_blocks),
            bottleneck_of(random, epsilon) if bottleneck else None,
        )
        for kinds, layer_blocks in zip(heads, blocks, strict=True)
    )
    embeddings = Embeddings(
        draw(random, VOCABULARY, HIDDEN), draw(random, TOKENS, HIDDEN), 0, None, norm_of(random, HIDDEN, 1e-12)
    )
    return Encoder("bert", embeddings, layers, activation, linear(random, 2, HIDDEN))


def inputs_of(batch: int = 2) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    real = np.arange(TOKENS) < np.array([TOKENS, 3])[:batch, None]
    return {
        "input_ids": random.integers(0, VOCABULARY, (batch, TOKENS)),
        "attention_mask": real.astype(np.int64),
        "token_type_ids": np.zeros((batch, TOKENS), np.int64),
        "position_ids": np.tile(np.arange(TOKENS), (batch, 1)),
    }


def difference(got: Encoder, wanted: Encoder) -> float:
    """Largest difference of real tokens' logits, relative to max(1, the largest logit)."""
    inputs = inputs_of()
    real = inputs["attention_mask"] == 1
    pairs = zip(reference_logits(got, inputs), reference_logits(wanted, inputs), strict=True)
    return max(float(np.abs(a - b)[real].max() / max(1, np.abs(b[real]).max())) for a, b in pairs)


layers = st.integers(1, 3)
head_patterns = st.lists(st.sampled_from(HEAD_KINDS), max_size=4).map(tuple)
neuron_patterns = st.lists(st.sampled_from(NEURON_KINDS), max_size=6).map(tuple)


@st.composite
def encoders(draw_value) -> tuple[Encoder, list[int], list[list[int]]]:
    """An encoder, and how many heads and neurons the table at the top says are left in each layer."""
    count = draw_value(layers)
    heads = [draw_value(head_patterns) for _ in range(count)]
    bottleneck = draw_value(st.booleans())
    blocks = [draw_value(st.lists(neuron_patterns, min_size=1, max_size=3)) for _ in range(count)]
    encoder = encoder_of(
        heads,
        blocks,
        activation=draw_value(st.sampled_from(ACTIVATIONS)),
        epsilon=draw_value(st.sampled_from([1e-12, None])),
        bottleneck=bottleneck,
        seed=draw_value(st.integers(0, 2**16)),
    )
    left = [sum(kind not in REMOVABLE_HEADS for kind in kinds) for kinds in heads]
    widths = [[sum(kind not in REMOVABLE_NEURONS for kind in kinds) for kinds in layer] for layer in blocks]
    return encoder, left, widths


@settings(max_examples=120, deadline=None)
@given(encoders())
def test_exact_compaction_removes_all_that_it_may_and_keeps_the_logits(case):
    encoder, heads, widths = case
    before = copy.deepcopy(encoder)
    small = compact(encoder)
    assert [layer.attention.heads for layer in small.layers] == heads
    assert [[block.width for block in layer.feed_forwards] for layer in small.layers] == widths
    assert difference(small, encoder) <= 1e-4
    for layer in small.layers:
        attention = layer.attention
        assert attention.query.weight.shape[0] == attention.key.weight.shape[0] == 3 * attention.heads
        assert attention.value.weight.shape[0] == attention.output.weight.shape[1] == 2 * attention.heads
    # Nothing more to do, and the encoder that was given is as it was.
    assert compact(small) is small
    pairs = zip(named_arrays(before), named_arrays(encoder), strict=True)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in pairs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("epsilon", [1e-12, None])
def test_the_graph_of_a_compacted_encoder_computes_the_same(activation, epsilon):
    """Among them a layer that loses all its heads, and one that loses its whole feed-forward block."""
    heads = [("whole", "zero v", "zero q"), ("zero v", "zero output"), ("whole", "zero v and output")]
    blocks = [[NEURON_KINDS], [("zero row",) * 3], [("zero column", "zero row")] * 2]
    encoder = encoder_of(heads, blocks, activation=activation, epsilon=epsilon)
    small = compact(encoder)
    assert [layer.attention.heads for layer in small.layers] == [2, 0, 1]
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = this_core().compile_model(build_graph(small), "CPU", settings)
    inputs = inputs_of()
    results = compiled(inputs)
    real = inputs["attention_mask"] == 1
    for name, wanted in zip(("output_s", "output_e"), reference_logits(encoder, inputs), strict=True):
        assert np.abs(results[name] - wanted)[real].max() / max(1, np.abs(wanted).max()) <= 1e-4


def test_layers_that_share_their_weights_still_do():
    encoder = encoder_of([("whole", "zero v")], [[("whole", "zero row")]])
    shared = replace(encoder, layers=encoder.layers * 3)
    small = compact(shared)
    assert small.layers[0] is small.layers[1] is small.layers[2]
    assert small.layers[0].attention.heads == 1
    assert difference(small, shared) <= 1e-4


def test_an_encoder_with_nothing_to_remove_is_returned_as_it_is():
    encoder = encoder_of([("whole", "zero q", "zero k", "zero q and k")], [[("whole",)]])
    assert compact(encoder) is encoder


# One layer by hand, hidden size 2. Neuron 0: row (1, 0), bias 0, column (1, 0): stays. Neuron 1: row
# (0, 0), bias 1, column (3, -1): always act(1). Head 0 stays; head 1 has V rows of 0 and value bias
# (2, 5), output columns (1, 0) and (-1, 2): adds 2*(1, -1) + 5*(0, 2) = (2, 8).
ACT_OF_1 = {
    "gelu": 0.8413447460685429,  # the normal distribution's share below 1
    "gelu_10": 0.8413447460685429,
    "gelu_tanh": 0.8411919906082768,
    "mish": 0.8650983882673103,  # tanh(ln(1 + e))
    "quick_gelu": 0.8457957659328212,  # 1 / (1 + e^-1.702)
    "relu": 1.0,
    "relu2": 1.0,
    "silu": 0.7310585786300049,  # 1 / (1 + e^-1)
    "tanh": 0.7615941559557649,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_folded_by_hand(activation, kind):
    def array(values: list) -> np.ndarray:
        return np.array(values, kind)

    norm = Norm(array([1, 1]), array([0, 0]), 1e-12)
    block = FeedForward(
        Linear(array([[1, 0], [0, 0]]), array([0, 1])), Linear(array([[1, 3], [0, -1]]), array([0.5, 0.25])), norm
    )
    attention = Attention(
        2,
        1.0,
        Linear(array([[1, 0], [0, 1]]), array([0, 0])),
        Linear(array([[1, 0], [0, 1]]), array([0, 0])),
        Linear(array([[1, 2], [3, 4], [0, 0], [0, 0]]), array([1, 1, 2, 5])),
        Linear(array([[1, 0, 1, 0], [0, 1, -1, 2]]), array([10, 20])),
    )
    embeddings = Embeddings(array([[1, 2]]), array([[0, 0]]), 0, None, norm)
    head = Linear(array([[1, 0], [0, 1]]), array([0, 0]))
    encoder = Encoder("bert", embeddings, (Layer(attention, norm, (block,)),), activation, head)
    layer = compact(encoder).layers[0]
    down = layer.feed_forwards[0].down
    np.testing.assert_allclose(down.bias, [0.5 + 3 * ACT_OF_1[activation], 0.25 - ACT_OF_1[activation]], rtol=1e-6)
    assert down.bias.dtype == np.float32
    assert down.weight.tolist() == [[1], [0]]
    assert down.weight.dtype == kind
    assert layer.attention.output.bias.tolist() == [12, 28]
    assert layer.attention.output.weight.tolist() == [[1, 0], [0, 1]]
    assert layer.attention.value.bias.tolist() == [1, 1]
    assert layer.attention.query.weight.tolist() == [[1, 0]]


# A matrix of 16 neurons whose zeros lie in aligned blocks of 4 outputs x 1 input, half of them.
QUADS = np.kron(np.array([[0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]]), np.ones((4, 1)))


@pytest.mark.parametrize(
    ("blocked", "silent", "kept"),
    [
        (True, [5], 16),  # alone it would move all that follow it by one
        (True, [4, 5, 6, 7, 9], 12),  # a whole group goes, the lone one stays
        (False, [5], 15),
    ],
)
def test_neurons_of_4x1_blocks_go_in_whole_groups(blocked, silent, kept):
    up, down = QUADS.astype(np.float32), np.ones((4, 16), np.float32)
    if not blocked:
        up = np.roll(up, 1, axis=0)  # the same zeros, off their places
    down[:, silent] = 0
    zeros = np.zeros
    norm = Norm(np.ones(4, np.float32), zeros(4, np.float32), 1e-12)
    block = FeedForward(Linear(up, zeros(16, np.float32)), Linear(down, zeros(4, np.float32)), norm)
    smaller = compaction._compact_block(block, "relu")
    assert smaller.width == kept
    inputs = np.arange(4, dtype=np.float32)
    assert np.array_equal(smaller.down.weight @ (smaller.up.weight @ inputs), down @ (up @ inputs))
    if blocked:
        groups = smaller.up.weight.reshape(-1, 4, 4)
        assert ((groups == 0).all(axis=1) == (groups == 0).any(axis=1)).all()


def test_a_fold_of_nothing_keeps_the_bias_and_its_type():
    encoder = encoder_of([("zero output",)], [[("zero column",)]])
    layer = compact(encoder).layers[0]
    assert layer.attention.output.bias is encoder.layers[0].attention.output.bias
    assert layer.feed_forwards[0].down.bias is encoder.layers[0].feed_forwards[0].down.bias


@pytest.mark.parametrize(("heads", "neurons"), [(("zero v", "whole"), ("whole",)), (("whole",), ("zero row", "whole"))])
def test_without_the_fold_the_logits_differ(monkeypatch, heads, neurons):
    """The comparison that the other tests rely on sees what a missing fold does."""
    encoder = encoder_of([heads], [[neurons]])
    assert difference(compact(encoder), encoder) <= 1e-4
    monkeypatch.setattr(compaction, "_add", lambda bias, constant: bias)
    assert difference(compact(encoder), encoder) > 1e-3


# nn_pruning, restated from its optimize_model, element by element


def like_nn_pruning(encoder: Encoder) -> tuple[Encoder, list[int]]:
    """The encoder that the library would run, and how many heads it leaves in each layer."""
    encoder = copy.deepcopy(encoder)
    layers, left = [], []
    for layer in encoder.layers:
        attention = layer.attention
        prunable = []
        for head in range(attention.heads):
            complete = True
            for part in (attention.query, attention.key, attention.value):
                size = len(part.weight) // attention.heads
                nonzero = 0
                for row in range(head * size, (head + 1) * size):
                    nonzero += int((part.weight[row] != 0).sum())
                complete = complete and nonzero > 0
            if not complete:
                prunable.append(head)
        if len(prunable) == attention.heads and prunable:
            prunable.remove(0)  # "at least keep one head"
        kept = [head for head in range(attention.heads) if head not in prunable]
        rows = {size: [head * size + i for head in kept for i in range(size)] for size in (2, 3)}
        attention = Attention(
            len(kept),
            attention.scale,
            Linear(attention.query.weight[rows[3]], attention.query.bias[rows[3]]),
            Linear(attention.key.weight[rows[3]], attention.key.bias[rows[3]]),
            Linear(attention.value.weight[rows[2]], attention.value.bias[rows[2]]),
            Linear(attention.output.weight[:, rows[2]], attention.output.bias),
        )
        left.append(len(kept))
        for block in layer.feed_forwards:
            for neuron in range(block.width):
                if not (block.up.weight[neuron] != 0).any():
                    block.down.weight[:, neuron] = 0
        layers.append(replace(layer, attention=attention))
    return replace(encoder, layers=tuple(layers)), left


@settings(max_examples=60, deadline=None)
@given(encoders())
def test_compat_computes_what_nn_pruning_computes(case):
    encoder, _, widths = case
    small = compact(encoder, compat="nn_pruning")
    wanted, heads = like_nn_pruning(encoder)
    assert difference(small, wanted) <= 1e-4
    # Exact compaction goes on from there: it also removes heads without output columns.
    assert all(layer.attention.heads <= most for layer, most in zip(small.layers, heads, strict=True))
    assert [[block.width for block in layer.feed_forwards] for layer in small.layers] == widths


def test_compat_differs_from_exact_where_the_library_is_not_exact():
    for heads, neurons in ((("zero q", "whole"), ("whole",)), (("whole",), ("zero row", "whole"))):
        encoder = encoder_of([heads], [[neurons]])
        assert difference(compact(encoder, compat="nn_pruning"), encoder) > 1e-3


def test_compat_keeps_the_first_head_of_a_layer_that_would_lose_all():
    encoder = encoder_of([("zero q", "zero k", "zero k")], [[("whole",)]])
    small = compact(encoder, compat="nn_pruning")
    assert small.layers[0].attention.heads == 1
    np.testing.assert_array_equal(small.layers[0].attention.value.weight, encoder.layers[0].attention.value.weight[:2])


# In a conversion


def holey_tensors() -> dict[str, np.ndarray]:
    """Heads 1 (no V) and 3 (no output) of layer 0, 8 constant and 4 silent of 48 neurons of layer 1."""
    tensors = bert_tensors()
    first, second = "bert.encoder.layer.0.attention", "bert.encoder.layer.1"
    tensors[f"{first}.self.value.weight"][8:16] = 0
    tensors[f"{first}.output.dense.weight"][:, 24:] = 0
    tensors[f"{second}.intermediate.dense.weight"][:8] = 0
    tensors[f"{second}.output.dense.weight"][:, 44:] = 0
    return tensors


def test_convert_compacts_and_says_so(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=holey_tensors())
    result = convert(folder, tmp_path / "bundle")
    report = result.compaction
    assert (report.heads_before, report.heads_after) == ((4, 4), (2, 4))
    assert (report.ffn_widths_before, report.ffn_widths_after) == (((48,), (48,)), ((48,), (36,)))
    # A head has 3 * 8 rows of 32 with their biases and 32 columns of 8, a neuron 32 + 1 + 32 values.
    assert report.parameters_before - report.parameters_after == 2 * (3 * 8 * 33 + 32 * 8) + 12 * 65
    assert 0 < report.difference <= 1e-4
    assert result.manifest.model.heads == (2, 4)
    assert result.manifest.model.ffn_widths == ((48,), (36,))
    assert result.manifest.lineage[0].options == {"compact": "exact"}


def test_convert_keeps_everything_if_told_so(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=holey_tensors())
    result = convert(folder, tmp_path / "bundle", compact=None)
    assert result.compaction is None
    assert result.manifest.model.heads == (4, 4)
    assert result.manifest.lineage[0].options == {"compact": "none"}


def test_convert_writes_the_compat_of_nn_pruning_although_it_changes_the_logits(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=holey_tensors())
    result = convert(folder, tmp_path / "bundle", compact="nn_pruning")
    assert result.compaction.difference > 1e-3
    assert result.manifest.lineage[0].options == {"compact": "nn_pruning"}


def test_a_compaction_that_changes_the_logits_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_add", lambda bias, constant: bias)
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=holey_tensors())
    with pytest.raises(VerificationError, match=r"compaction: changed the logits by .*without `compact`"):
        convert(folder, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_report_of_nothing_removed_says_so(checkpoint):
    encoder = read_encoder(read_checkpoint(checkpoint))
    report = report_compaction(encoder, compact(encoder))
    assert not report.changed
    assert report.heads_before == report.heads_after == (12,) * 6


# On the command line


def test_the_command_says_what_was_removed(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=holey_tensors())
    result = CliRunner().invoke(convert_command, [str(folder), str(tmp_path / "bundle")])
    assert result.exit_code == 0
    assert result.output.startswith("compacted: 8 -> 6 heads, 96 -> 84 neurons, 0.02 -> 0.02 M parameters; logits")
    result = CliRunner().invoke(
        convert_command, [str(folder), str(tmp_path / "other"), "--json", "--compat=nn_pruning"]
    )
    found = json.loads(result.output)
    assert found["compaction"]["heads_after"] == [2, 4]
    assert found["manifest"]["lineage"][0]["options"] == {"compact": "nn_pruning"}
    result = CliRunner().invoke(convert_command, [str(folder), str(tmp_path / "whole"), "--no-compact"])
    assert "compacted" not in result.output


def test_the_command_takes_no_compat_without_compaction(tmp_path):
    arguments = [str(tmp_path), str(tmp_path / "bundle"), "--no-compact", "--compat", "nn_pruning"]
    result = CliRunner().invoke(convert_command, arguments)
    assert result.exit_code == 2
    assert "leave out --no-compact" in result.output
