"""What a foreign graph tells of itself: layers, heads, widths, how its weights are stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from converters.ir.constants import Weight, product_weights, stored_values, weight_behind
from converters.ir.int8_pairs import LARGEST_PAIR, largest_pair
from edge_qa._openvino import ov
from edge_qa.bundle.manifest import Target, WeightPrecision

Value = TypeVar("Value")

_ACTIVATIONS = ("Gelu", "Erf", "Tanh", "Relu", "Swish", "Sigmoid", "HSwish")
# Only weights are stored in these, or their zero points.
_PACKED = {ov.Type.i8, ov.Type.u8, ov.Type.i4, ov.Type.u4}


@dataclass(frozen=True)
class Survey:
    """None where the graph does not tell. heads, ffn_widths: a value for each layer."""

    layers: int | None
    hidden: int | None
    heads: tuple[int, ...] | None
    ffn_widths: tuple[tuple[int, ...], ...] | None
    precision: WeightPrecision
    target: Target | None


def survey(model: "ov.Model") -> Survey:
    """Look at a model whose outputs are start and end logits."""
    heads: list[int | None] = []
    widths: list[list[int | None]] = []
    # Each layer needs the one before it, so that any order of computation has the layers in order.
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind in ("Softmax", "ScaledDotProductAttention"):
            shape = node.get_input_partial_shape(0)
            heads.append(_length(shape, 1) if shape.rank.is_static and len(shape) == 4 else None)
            widths.append([])
        elif kind in _ACTIVATIONS and widths:
            widths[-1].append(_length(node.get_output_partial_shape(0), -1))
    precision = _precision(model)
    return Survey(
        layers=len(heads) or None,
        hidden=_hidden(model),
        heads=_all_known(heads),
        ffn_widths=_all_known([_all_known(blocks) for blocks in widths]),
        precision=precision,
        target=_target(model) if precision == "int8" else None,
    )


def is_quantized(model: "ov.Model") -> bool:
    """True if activations are rounded to 8 bits as the model runs."""
    return any(True for _ in _quantizers(model))


def _quantizers(model: "ov.Model") -> Iterator["ov.Node"]:
    """Yield the FakeQuantize nodes of activations."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and weight_behind(node.input_value(0)) is None:
            yield node


def _length(shape: "ov.PartialShape", axis: int) -> int | None:
    if shape.rank.is_dynamic or not len(shape) or shape[axis].is_dynamic:
        return None
    return int(shape[axis].get_length())


def _all_known(values: Sequence[Value | None]) -> tuple[Value, ...] | None:
    known = tuple(value for value in values if value is not None)
    return known if known and len(known) == len(values) else None


def _hidden(model: "ov.Model") -> int | None:
    """The width that the question-answering head reads: of the last product with a weight before the logits."""
    heads: dict[str, int | None] = {}
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        weights = [weight_behind(value) for value in node.input_values()]
        if node.get_type_name() == "MatMul" and weights[1] is not None:
            axis = -1 if node.get_attributes()["transpose_b"] else -2
            heads[node.get_name()] = _length(node.get_input_partial_shape(1), axis)
        else:
            values = zip(node.input_values(), weights, strict=True)
            waiting += [value.get_node() for value, weight in values if weight is None]
    return heads.popitem()[1] if len(heads) == 1 else None


def _precision(model: "ov.Model") -> WeightPrecision:
    kinds = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            return "int8"
        if node.get_type_name() == "Constant" and np.prod(node.get_output_shape(0)) > 1:
            kinds.add(node.get_element_type())
    if kinds & _PACKED:
        return "int8"
    return "fp16" if ov.Type.f16 in kinds else "fp32"


def _target(model: "ov.Model") -> Target:
    """The CPUs on which the 8-bit products are exact: known from the weights themselves."""
    if not is_quantized(model):
        return "any"  # products are made of floats
    largest = max((_largest_pair(*found) for found in product_weights(model)), default=0)
    return "any" if largest <= LARGEST_PAIR else "vnni"


def _largest_pair(product: "ov.Node", index: int, weight: Weight) -> int:
    """The largest sum of two neighbouring magnitudes along the summed axis, or twice the largest magnitude."""
    if not (weight.is_integer and product.get_type_name() == "MatMul" and index == 1 and len(weight.shape) == 2):
        return 2 * _largest_level(weight)
    across = product.get_attributes()["transpose_b"]
    values = weight.values.astype(np.int32).reshape(weight.shape)
    return largest_pair(values if across else values.T)


def _largest_level(weight: Weight) -> int:
    """The largest 8-bit integer, without its sign, that a weight becomes; 0 for one that stays a float."""
    if weight.is_integer:
        return int(np.abs(weight.values.astype(np.int32)).max())
    if weight.quantizer is None:
        return 0
    levels = int(weight.quantizer.get_attributes()["levels"])
    limits = [weight_behind(weight.quantizer.input_value(index)) for index in (1, 2)]
    moved = list(weight.shape) != list(weight.quantizer.get_input_shape(0))
    if levels > 256 or moved or limits[0] is None or limits[1] is None:
        return levels  # not known: taken for the whole range
    low, high = (stored_values(limit.constant).astype(np.float32) for limit in limits if limit is not None)
    values = stored_values(weight.constant).astype(np.float32)
    width = np.where(high > low, high - low, 1)
    steps = np.rint((np.clip(values, low, high) - low) / width * (levels - 1))
    return int(np.abs(np.where(high > low, steps - levels // 2, 0)).max())
