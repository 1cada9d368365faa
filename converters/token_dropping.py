"""Token dropping: layers let go of the tokens that the answer does not need, inside the graph.

After Length-Adaptive Transformer (Kim and Cho 2020, arXiv 2010.07003), PoWER-BERT (Goyal et al. 2020,
arXiv 2001.08950) and Dynamic-TinyBERT (Guskin et al. 2021, arXiv 2111.09645). A layer that drops ranks
the tokens, and only the first `count` go on: a share of the example's own true length, rounded up to a
step. A token dropped in layer i keeps the output of layer i-1 for its two logits. Two ways to rank:

"attention", the papers': what the real queries pay a token, summed over the heads of the layer's own
    attention probabilities (before any FakeQuantize). The attention has to be written out for that.
"probe", ours: a row of H weights reads the layer's input (`calibration/probes.py` fits it), so the
    tokens are known before the attention, which stays fused and works for the queries that are left.
    Where the family has token types, the question (type 0) is dropped last.

Rows of a product are independent, so with either rule the output projection of the attention, the norm,
the feed-forward blocks and all later layers work on what is left. Only layers that drop are changed.
Works on the graph of an FP16 bundle and on what NNCF made of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.graph import MASKED_SCORE
from edge_qa._openvino import ov
from edge_qa.errors import BundleError, InputError

_ops = ov.opset15

# Counts are rounded up to a multiple of this, so that the shapes of later layers stay few.
STEP = 8

# Added to a probe's score of the question's tokens; probes are fitted to targets between 0 and 3.
QUESTION_BONUS = 64.0

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
    def dropping(self) -> tuple[int, ...]:
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
            for i in self.dropping
            if i < len(heads) and heads[i] == 0
        ]
        if self.probes and not set(self.dropping) <= self.probes.keys():
            problems.append(f"got probes for layers {sorted(self.probes)}, wanted one for each of {self.dropping}")
        if self.step < 1:
            problems.append(f"got a step of {self.step}, wanted at least 1")
        if problems:
            raise InputError(f"token dropping: {'; '.join(problems)}")


def drop_tokens(model: "ov.Model", keep: Keep) -> None:
    """Put token dropping into a model with the names of `converters/graph.py`, in place.

    Raises BundleError if the names are not there, so for a model that was imported.
    """
    if keep.dropping:
        _Dropper(model, keep).apply()


class _Dropper:
    def __init__(self, model: "ov.Model", keep: Keep) -> None:
        self.nodes: dict[str, ov.Node] = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
        self.keep = keep
        # 1 for a token that is real and still there, (batch, tokens left).
        self.real = self.find("mask.real")
        # QUESTION_BONUS for the question's tokens, (batch, tokens left); None where no token types tell.
        self.bonus = self.question_bonus() if keep.probes and self.token_types() > 1 else None
        self.counts = self.count()
        self.restores: list[tuple[ov.Node, ov.Output, ov.Node]] = []

    def find(self, name: str) -> "ov.Node":
        if name not in self.nodes:
            raise BundleError(
                f"token dropping: the model has no node called {name}; wanted a bundle that edge-qa convert made of a "
                "checkpoint; an imported model cannot drop tokens"
            )
        return self.nodes[name]

    def count(self) -> "ov.Node":
        """How many tokens each example keeps in each dropping layer: int64 (batch, dropping layers)."""
        shares = np.array([[self.keep.shares[layer] for layer in self.keep.dropping]], np.float32)
        lengths = _ops.reduce_sum(self.real, _ints(1), True, name="lengths")
        # Shares are float32: 0.3 * 10 must not become 4 tokens for a rounding error of 1e-7.
        wanted = _ops.subtract(_ops.multiply(lengths, _floats(shares / self.keep.step)), _floats(1e-4))
        steps = _ops.maximum(_ops.ceiling(wanted), _floats(1.0))
        return _ops.convert(_ops.multiply(steps, _floats(self.keep.step)), "i64", name="lengths.kept")

    def apply(self) -> None:
        for place, layer in enumerate(self.keep.dropping):
            self.drop(place, layer)
        self.restore()

    def drop(self, place: int, index: int) -> None:
        layer = f"encoder.layer.{index}"
        residual = self.find(f"{layer}.attention.output.residual")
        bottleneck = self.nodes.get(f"{layer}.bottleneck.output.residual")
        shortcuts = [residual.input(0)] if bottleneck is None else [residual.input(0), bottleneck.input(1)]
        whole = shortcuts[-1].get_source_output().get_node()  # the output of the layer before
        counts = _ops.gather(self.counts, _ints(place), _int(1), name=f"{layer}.drop.counts")  # (batch, 1)
        left = _ops.gather(_ops.shape_of(self.real, "i64"), _int(1), _int(0))
        most = _ops.minimum(_ops.reduce_max(counts, _ints(0, 1), False), left, name=f"{layer}.drop.most")
        probe = self.keep.probes.get(index)
        scores = self.attention_paid(layer) if probe is None else self.probed(layer, whole, probe)
        # Padding, and what other examples of the batch have left, come last.
        ranked = _ops.select(_ops.greater(self.real, _floats(0.0)), scores, _floats(np.finfo(np.float32).min))
        best = _ops.topk(ranked, most, 1, "max", "value", "i32", name=f"{layer}.drop.kept")
        kept = best.output(1)
        # Sorted by rank: what an example has beyond its own count is only there for longer ones.
        within = _ops.convert(_ops.less(_ops.range(_int(0), most, _int(1), "i64"), counts), "f32")
        real = _ops.multiply(_rows(self.real, kept), within, name=f"{layer}.drop.real")

        readers = [self.find(f"{layer}.attention.query.matmul").input(0)]
        if probe is None:
            readers = list(self.find(f"{layer}.attention.context").output(0).get_target_inputs())
        for reader in (*readers, *shortcuts):
            reader.replace_source_output(_rows(reader.get_source_output(), kept).output(0))
        self.restores.append((whole, kept, real))
        self.real = real
        if self.bonus is not None:
            self.bonus = _rows(self.bonus, kept)
        self.remask(index, real)

    def attention_paid(self, layer: str) -> "ov.Node":
        """What the real queries pay each token, (batch, tokens)."""
        queries = _ops.unsqueeze(self.real, _ints(1, 2))
        paid = _ops.matmul(queries, self.find(f"{layer}.attention.probabilities"), False, False)
        return _ops.reduce_sum(paid, _ints(1, 2), False, name=f"{layer}.drop.significance")  # over heads

    def probed(self, layer: str, x: "ov.Node", probe: NDArray[np.float32]) -> "ov.Node":
        """The probe's score of each token, (batch, tokens)."""
        weight = ov.op.Constant(np.ascontiguousarray(probe[:, None], np.float32))
        weight.set_friendly_name(f"{layer}.drop.probe.weight")
        product = _ops.matmul(x, weight, False, False, name=f"{layer}.drop.probe")
        scores = _ops.squeeze(product, _ints(2))
        return scores if self.bonus is None else _ops.add(scores, self.bonus, name=f"{layer}.drop.significance")

    def token_types(self) -> int:
        """Rows of the table of token types; what NNCF made of the lookup has one more name."""
        lookup = self.nodes.get("embeddings.token_type.rows", self.nodes.get("embeddings.token_type"))
        return 0 if lookup is None else int(lookup.get_input_partial_shape(0)[0].get_length())

    def question_bonus(self) -> "ov.Node":
        question = _ops.equal(self.find("token_type_ids"), _int(0))
        return _ops.multiply(_ops.convert(question, "f32"), _floats(QUESTION_BONUS), name="lengths.question")

    def remask(self, index: int, real: "ov.Node") -> None:
        """Let all later layers attend to what is left only."""
        scaled = _ops.multiply(_ops.subtract(_floats(1.0), real), _floats(MASKED_SCORE))
        mask = _ops.unsqueeze(scaled, _ints(1, 2))
        mask.set_friendly_name(f"encoder.layer.{index}.drop.mask")
        while f"encoder.layer.{(index := index + 1)}.attention.norm" in self.nodes:
            scores = self.nodes.get(f"encoder.layer.{index}.attention.scores")
            if scores is not None:  # a layer without heads has none
                scores.input(1).replace_source_output(mask.output(0))

    def restore(self) -> None:
        """Give every dropped token its logits: those of the last layer that it came through."""
        head, logits = self.head(), self.find("qa.logits")
        for whole, kept, real in reversed(self.restores):
            before = whole
            for node in head:
                before = _again(node, before)
            column = _ops.unsqueeze(kept, _ints(2))
            places = _ops.concat([column, column], 2)
            # What an example keeps beyond its own count is dropped as well.
            stayed = _ops.greater(_ops.unsqueeze(real, _ints(2)), _floats(0.0))
            updates = _ops.select(stayed, logits, _rows(before, kept))
            logits = _ops.scatter_elements_update(before, places, updates, _int(1))
        self.find("qa.split").input(0).replace_source_output(logits.output(0))

    def head(self) -> list["ov.Node"]:
        """What lies between the last layer's output and the logits, first node first."""
        path = [self.find("qa.logits")]
        while not (source := path[0].input_value(0).get_node()).get_friendly_name().endswith(".norm"):
            path.insert(0, source)
        return path


def _rows(x: "ov.Node | ov.Output", kept: "ov.Output") -> "ov.Node":
    return _ops.gather(x, kept, _int(1), 1)


def _again(node: "ov.Node", x: "ov.Node") -> "ov.Node":
    """The same operation with the same constants on another input."""
    other = node.input_value(1)
    if node.get_type_name() == "MatMul":
        return _ops.matmul(x, other, False, node.get_attributes()["transpose_b"])
    return {"Add": _ops.add, "Multiply": _ops.multiply}[node.get_type_name()](x, other)


def _ints(*values: int) -> "ov.Node":
    return _ops.constant(np.array(values, np.int64))


def _int(value: int) -> "ov.Node":
    return _ops.constant(np.int64(value))


def _floats(value: Any) -> "ov.Node":
    return _ops.constant(np.asarray(value, np.float32))
