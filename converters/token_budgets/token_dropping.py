"""Token dropping: layers let go of the tokens that the answer does not need, inside the graph.

After Length-Adaptive Transformer (Kim and Cho 2020, arXiv 2010.07003), PoWER-BERT (Goyal et al. 2020,
arXiv 2001.08950) and Dynamic-TinyBERT (Guskin et al. 2021, arXiv 2111.09645). A layer that drops ranks
the tokens, and only the first `count` go on: a share of the example's own true length, rounded up to a
step. A token dropped in layer i keeps the output of layer i-1 for its two logits. Two ways to rank:

"attention", the papers': what the real queries pay a token, summed over the heads of the layer's own
    attention probabilities (before any FakeQuantize). The attention has to be written out for that.
"probe", ours: a row of H weights reads the layer's input (`calibration/token_budgets/probes.py` fits it), so the
    tokens are known before the attention, which stays fused and works for the queries that are left.
    Where the family has token types, the question (type 0) is dropped last.

Rows of a product are independent, so with either rule the output projection of the attention, the norm,
the feed-forward blocks and all later layers work on what is left. Only layers that drop are changed.
Works on the graph of an FP16 bundle and on what NNCF made of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.ir.graph import MASKED_SCORE
from edge_qa._openvino import ov
from edge_qa.errors import BundleError, InputError

_ops = ov.opset15

# Counts are rounded up to a multiple of this, so that the shapes of later layers stay few.
STEP = 8

# Added to a probe's score of the question's tokens; probes are fitted to targets between 0 and 3.
QUESTION_BONUS = 64.0
_GONE = -1e9

Probes = Mapping[int, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Keep:
    """How much each layer leaves for the rest of the model.

    shares: for each layer the share of the true length, 0..1, that is left in it; never more than in
    the layer before. 1 drops nothing.
    step: counts are rounded up to a multiple of it.
    probes: the weights, (hidden,), that rank the tokens of each dropping layer; none to rank by attention.
    """

    shares: tuple[float, ...]
    step: int = STEP
    probes: Probes = field(default_factory=dict)

    @property
    def dropping_layers(self) -> tuple[int, ...]:
        """The layers that drop: those that keep less than the layer before them."""
        before = (1.0, *self.shares[:-1])
        return tuple(i for i, (last, share) in enumerate(zip(before, self.shares, strict=True)) if share < last)

    def check(self, heads: Sequence[int | None]) -> None:
        """Raise InputError unless the shares fit a model whose layers have that many heads."""
        problems = []
        if len(self.shares) != len(heads):
            problems.append(f"got {len(self.shares)} shares, wanted one for each of the model's {len(heads)} layers")
        if not all(0 < share <= 1 for share in self.shares):
            problems.append(f"got {list(self.shares)}, wanted each above 0 and at most 1")
        elif any(later > earlier for earlier, later in zip(self.shares, self.shares[1:], strict=False)):
            problems.append(f"got {list(self.shares)}, wanted none above the one before: what is dropped is gone")
        problems += [
            f"layer {i} has no attention heads and cannot drop"
            for i in self.dropping_layers
            if i < len(heads) and heads[i] == 0
        ]
        if self.probes and not set(self.dropping_layers) <= self.probes.keys():
            problems.append(
                f"got probes for layers {sorted(self.probes)}, wanted one for each of {self.dropping_layers}"
            )
        if self.step < 1:
            problems.append(f"got a step of {self.step}, wanted at least 1")
        if problems:
            raise InputError("; ".join(problems), where="token dropping")


def kept_tokens(share: float, length: int, step: int) -> int:
    """Return how many of `length` tokens a share is, rounded up to a multiple of step, at least one step."""
    # 0.3 * 10 must not become 4 for a rounding error of 1e-16.
    return max(1, math.ceil(share * length / step - 1e-9)) * step


def drop_tokens(model: "ov.Model", keep: Keep) -> None:
    """Put token dropping into a model with the names of `converters/ir/graph.py`, in place.

    Raises BundleError if the names are not there, so for a model that was imported.
    """
    if keep.dropping_layers:
        _Dropper(model, keep).apply()


class _Dropper:
    def __init__(self, model: "ov.Model", keep: Keep) -> None:
        self.nodes: dict[str, ov.Node] = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
        self.keep = keep
        if any(name.endswith(".attention.relative.query") for name in self.nodes):
            raise BundleError(
                "its attention adds relative positions, and tokens that are dropped would change the distances of "
                "the others",
                where="token dropping",
                remedy="use a model with absolute positions",
            )
        self.head_weight, self.head_bias = self.head()
        self.counts, self.most = self.count()
        # Added to a token's score, (batch, tokens left): what is not there comes last.
        self.bias = self.first_bias()
        self.restores: list[tuple[ov.Output, ov.Output, ov.Node]] = []

    def find(self, name: str) -> "ov.Node":
        if name not in self.nodes:
            raise BundleError(
                f"the model has no node called {name}; wanted a bundle that edge-qa convert made of a checkpoint",
                where="token dropping",
                remedy="an imported model cannot drop tokens",
            )
        return self.nodes[name]

    def count(self) -> tuple["ov.Node", "ov.Node"]:
        """How many tokens each example keeps in each layer that drops, (batch, layers); the largest, (layers,)."""
        lengths = _ops.reduce_sum(_ops.convert(self.find("attention_mask"), "i32"), _ints(1), False, name="lengths")
        every = range(self.rows_of("embeddings.position") + 1)
        shares = [self.keep.shares[layer] for layer in self.keep.dropping_layers]
        rounded = [[kept_tokens(share, tokens, self.keep.step) for share in shares] for tokens in every]
        # Looked up, because that takes one node; a longer example never keeps less.
        own = np.minimum(rounded, np.array(every)[:, None])
        counts = _ops.gather(_table(own, "lengths.kept.table"), lengths, _int(0), name="lengths.kept")
        longest = _ops.reduce_max(lengths, _ints(0), False)
        most = _ops.gather(_table(np.array(rounded), "lengths.most.table"), longest, _int(0))
        tokens = _ops.gather(_ops.shape_of(self.find("attention_mask"), "i32"), _int(1), _int(0))
        return counts, _ops.minimum(most, tokens, name="lengths.most")

    def first_bias(self) -> "ov.Node":
        there: ov.Node = _floats(0.0)
        if self.keep.probes and self.rows_of("embeddings.token_type") > 1:
            question = _ops.equal(self.find("token_type_ids"), _int(0))
            there = _ops.select(question, _floats(QUESTION_BONUS), there)
        real = _ops.greater(self.find("mask.real"), _floats(0.0))
        return _ops.select(real, there, _floats(_GONE), name="lengths.bias")

    def rows_of(self, lookup: str) -> int:
        """Rows of an embedding table; INT8 ones are looked up under one more name."""
        node = self.nodes.get(f"{lookup}.rows", self.nodes.get(lookup))
        return 0 if node is None else int(node.get_input_partial_shape(0)[0].get_length())

    def apply(self) -> None:
        for place, layer in enumerate(self.keep.dropping_layers):
            self.drop(place, layer)
        self.restore()

    def drop(self, place: int, index: int) -> None:
        layer = f"encoder.layer.{index}"
        residual = self.find(f"{layer}.attention.output.residual")
        bottleneck = self.nodes.get(f"{layer}.bottleneck.output.residual")
        shortcuts = [residual.input(0)] if bottleneck is None else [residual.input(0), bottleneck.input(1)]
        whole = shortcuts[-1].get_source_output()  # the output of the layer before
        probe = self.keep.probes.get(index)
        read, logits = self.read(layer, whole, probe)
        scores = _ops.add(self.attention_paid(layer) if read is None else read, self.bias)
        most = _ops.gather(self.most, _int(place), _int(0), name=f"{layer}.drop.most")
        best = _ops.topk(scores, most, 1, "max", "value", "i32", name=f"{layer}.drop.kept")
        kept = best.output(1)
        # Sorted by score: what an example has beyond its own count is only there for longer ones.
        counts = _ops.gather(self.counts, _ints(place), _int(1))  # (batch, 1)
        stayed = _ops.less(_ops.range(_int32(0), most, _int32(1), "i32"), counts, name=f"{layer}.drop.stayed")

        readers = [self.find(f"{layer}.attention.query.matmul").input(0)]
        if probe is None:
            readers = list(self.find(f"{layer}.attention.context").output(0).get_target_inputs())
        for reader in (*readers, *shortcuts):
            reader.replace_source_output(_rows(reader.get_source_output(), kept).output(0))
        self.restores.append((logits, kept, stayed))
        if place + 1 < len(self.keep.dropping_layers):
            self.bias = _ops.select(stayed, _rows(self.bias, kept), _floats(_GONE), name=f"{layer}.drop.bias")
        self.remask(index, stayed)

    def read(
        self, layer: str, x: "ov.Output", probe: NDArray[np.float32] | None
    ) -> tuple["ov.Node | None", "ov.Output"]:
        """The probe's score of each token, (batch, tokens), and its two logits, (batch, tokens, 2): one product."""
        rows, bias = self.head_weight, self.head_bias
        if probe is not None:
            rows, bias = np.concatenate([probe[None], rows]), np.append(np.float32(0), bias)
        weight = ov.op.Constant(np.ascontiguousarray(rows, np.float32))
        weight.set_friendly_name(f"{layer}.drop.probe.weight")
        product = _ops.matmul(x, weight, False, True, name=f"{layer}.drop.probe")
        found = _ops.add(product, _floats(bias))
        if probe is None:
            return None, found.output(0)
        parts = _ops.variadic_split(found, _int(2), _ints(1, 2))
        return _ops.squeeze(parts.output(0), _ints(2), name=f"{layer}.drop.significance"), parts.output(1)

    def attention_paid(self, layer: str) -> "ov.Node":
        """What the real queries pay each token, (batch, tokens)."""
        real = _ops.convert(_ops.greater(self.bias, _floats(_GONE / 2)), "f32")
        queries = _ops.unsqueeze(real, _ints(1, 2))
        paid = _ops.matmul(queries, self.find(f"{layer}.attention.probabilities"), False, False)
        return _ops.reduce_sum(paid, _ints(1, 2), False, name=f"{layer}.drop.significance")  # over heads

    def remask(self, index: int, stayed: "ov.Node") -> None:
        """Let all later layers attend to what is left only."""
        mask = _ops.unsqueeze(_ops.select(stayed, _floats(0.0), _floats(MASKED_SCORE)), _ints(1, 2))
        mask.set_friendly_name(f"encoder.layer.{index}.drop.mask")
        while f"encoder.layer.{(index := index + 1)}.attention.norm" in self.nodes:
            scores = self.nodes.get(f"encoder.layer.{index}.attention.scores")
            if scores is not None:  # a layer without heads has none
                scores.input(1).replace_source_output(mask.output(0))

    def restore(self) -> None:
        """Give every dropped token its logits: those of the last layer that it came through."""
        logits = self.find("qa.logits").output(0)
        for before, kept, stayed in reversed(self.restores):
            column = _ops.unsqueeze(kept, _ints(2))
            places = _ops.concat([column, column], 2)
            # What an example keeps beyond its own count is dropped as well.
            updates = _ops.select(_ops.unsqueeze(stayed, _ints(2)), logits, _rows(before, kept))
            logits = _ops.scatter_elements_update(before, places, updates, _int(1)).output(0)
        self.find("qa.split").input(0).replace_source_output(logits)

    def head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The QA head on a layer's own output: weights (2, hidden), biases (2,).

        NNCF's SmoothQuant scales the last layer's output and the weights against each other; that is undone.
        """
        product = self.find("qa.logits.matmul")
        weight, source = _constant(product.input_value(1)), product.input_value(0).get_node()
        while not source.get_friendly_name().endswith(".norm"):
            weight = weight * _constant(source.input_value(1)).reshape(1, -1)  # a Multiply by a constant
            source = source.input_value(0).get_node()
        return weight, _constant(self.find("qa.logits").input_value(1)).ravel()


def _rows(x: "ov.Node | ov.Output", kept: "ov.Output") -> "ov.Node":
    return _ops.gather(x, kept, _int(1), 1)


def _constant(output: "ov.Output") -> NDArray[np.float32]:
    """A constant as float32, through the conversion that widens float16."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.array(node.get_data(), np.float32)


def _ints(*values: int) -> "ov.Node":
    return _ops.constant(np.array(values, np.int64))


def _int(value: int) -> "ov.Node":
    return _ops.constant(np.int64(value))


def _table(values: NDArray[np.int64], name: str) -> "ov.Node":
    node = ov.op.Constant(np.ascontiguousarray(values, np.int32))
    node.set_friendly_name(name)
    return node


def _int32(value: int) -> "ov.Node":
    return _ops.constant(np.int32(value))


def _floats(value: Any) -> "ov.Node":
    return _ops.constant(np.asarray(value, np.float32))
