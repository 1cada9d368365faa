"""Balance the channels of attention before it is quantized, without changing what the model computes.

A score is a sum over channels of q * k: what a channel of q is multiplied by, that of k may be divided
by. So may a channel of the values, and the column of the output projection that reads it. A checkpoint
may come with any such factors; INT8 has one scale for all channels of q, and one for all of k, and what
is small beside the largest channel is lost. Here the two sides of each channel get the same range,
which is best for both (Nagel et al. 2019, arXiv 1906.04721, do the same between layers).

Factors are powers of two, so that no weight is rounded and the logits stay what they were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from edge_qa._openvino import ov, this_core

_ops = ov.opset15
Ranges = NDArray[np.float32]

# The largest value of a channel is found on this many samples: a factor of two does not hang on the rest.
_SAMPLES = 32


@dataclass(frozen=True, eq=False)
class _Attention:
    """One layer's attention: the additions that give q, k and v, and the product that reads the context."""

    parts: dict[str, "ov.Node"]  # query, key, value: Add(MatMul, bias)
    output: "ov.Node"  # MatMul

    @property
    def weight(self) -> str:
        """Layers with the same weights (ALBERT) have the same name here."""
        return str(_constant_behind(self.parts["query"].input_value(0).get_node(), 1).get_friendly_name())


def balance_channels(model: "ov.Model", samples: Sequence[Inputs]) -> int:
    """Balance a float model in place; return how many layers were, 0 if it lacks the names of `converters/ir/graph.py`.

    samples: inputs by the names of the model's parameters, of any batch.
    """
    layers = list(_attentions(model))
    if not layers:
        return 0
    ranges = _ranges(model, layers, samples[:_SAMPLES])
    shared: dict[str, list[int]] = {}
    for index, layer in enumerate(layers):
        shared.setdefault(layer.weight, []).append(index)
    for indices in shared.values():
        query, key, value = (np.max([ranges[i][part] for i in indices], axis=0) for part in range(3))
        layer = layers[indices[0]]
        columns = np.abs(_array(layer.output, 1)).max(axis=0)
        _balance(layer, factors(key, query), factors(columns, value))
    return len(layers)


def factors(wanted: Ranges, have: Ranges) -> Ranges:
    """Return the power of two nearest to sqrt(wanted / have) for each channel; 1 where either is zero."""
    usable = (wanted > 0) & (have > 0)
    ratio = np.log2(np.where(usable, wanted, 1)) - np.log2(np.where(usable, have, 1))
    result: Ranges = np.exp2(np.rint(ratio / 2)).astype(np.float32)
    return result


def _attentions(model: "ov.Model") -> Iterator[_Attention]:
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    for index in count():
        name = f"encoder.layer.{index}"
        if f"{name}.attention.norm" not in nodes:
            return
        found = [nodes.get(f"{name}.attention.{part}") for part in ("query", "key", "value", "output.matmul")]
        if f"{name}.attention.relative.query" in nodes:  # q is multiplied by more than k
            continue
        if all(node is not None for node in found):  # a layer may have lost all its heads
            yield _Attention(dict(zip(("query", "key", "value"), found[:3], strict=True)), found[3])


def _ranges(model: "ov.Model", layers: Sequence[_Attention], samples: Sequence[Inputs]) -> list[tuple[Ranges, ...]]:
    """The largest magnitude of each channel of q, k and v in every layer."""
    results = []
    for layer in layers:
        for part in ("query", "key", "value"):
            axes = ov.op.Constant(np.array([0, 1], np.int64))
            results.append(_ops.result(_ops.reduce_max(_ops.abs(layer.parts[part]), axes, False)))
    probe = ov.Model(results, model.get_parameters(), "ranges")
    compiled = this_core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    largest: list[Ranges] = []
    for sample in samples:
        found = compiled(dict(sample), share_inputs=False)
        values = [np.array(found[index]) for index in range(len(results))]
        largest = [np.maximum(a, b) for a, b in zip(largest, values, strict=True)] if largest else values
    return [tuple(largest[start : start + 3]) for start in range(0, len(largest), 3)]


def _balance(layer: _Attention, scores: Ranges, values: Ranges) -> None:
    """Multiply q and v by factors of their channels, and divide k and the columns of the output by them."""
    for part, factor in (("query", scores), ("key", 1 / scores), ("value", values)):
        add = layer.parts[part]
        _replace(add.input_value(0).get_node(), 1, factor[:, None])
        _replace(add, 1, factor.reshape(_array(add, 1).shape))
    _replace(layer.output, 1, 1 / values)


def _replace(node: "ov.Node", index: int, factor: NDArray[Any]) -> None:
    """Multiply the constant behind an input; float16 stays float16 where that loses nothing."""
    old = _constant_behind(node, index)
    changed = old.get_data().astype(np.float32) * factor
    reader = old.output(0).get_target_inputs()
    if old.get_element_type() == ov.Type.f16:
        with np.errstate(over="ignore"):
            small = changed.astype(np.float16)
        if np.array_equal(small.astype(np.float32), changed):
            changed = small
        else:  # the conversion that widens float16 is passed by
            reader = node.input_value(index).get_target_inputs()
    constant = ov.op.Constant(np.ascontiguousarray(changed))
    constant.set_friendly_name(old.get_friendly_name())
    for port in reader:
        port.replace_source_output(constant.output(0))


def _constant_behind(node: "ov.Node", index: int) -> "ov.Node":
    source = node.input_value(index).get_node()
    return source.input_value(0).get_node() if source.get_type_name() == "Convert" else source


def _array(node: "ov.Node", index: int) -> NDArray[np.float32]:
    result: NDArray[np.float32] = _constant_behind(node, index).get_data().astype(np.float32)
    return result
