"""Parameters, multiply-adds and sparsity, counted on the IR alone: one truth, for imported models too."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from converters.ir.constants import product_weights, weight_behind
from converters.model.encoder import Array
from edge_qa._openvino import ov

# What NNCF adds to move scales between activations and weights; no training made it.
_SMOOTHING = "nncf_smooth_quant/scale"


@dataclass(frozen=True)
class ModelCost:
    """parameters: values in the weights. multiply_adds: of all matrix products for one input of `tokens` tokens.

    sparsity: the share of zeros in the weights of matrix products as they are stored, 0..1.
    counted_at: the tokens at which the graph was looked at. Where the model takes fewer than `tokens`, the
    products with a weight were scaled up linearly and those of two activations (attention) quadratically.
    """

    parameters: int
    multiply_adds: int
    sparsity: float
    tokens: int
    counted_at: int


def count(model: "ov.Model", tokens: int = 384, *, longest: int | None = None) -> ModelCost:
    """Count a model whose inputs are all (batch, tokens); `model` is left as it is.

    longest: the most tokens that the model takes; None for no limit. A model of one fixed length is
    counted at that length.
    """
    own = model.inputs[0].get_partial_shape()[1]
    at = own.get_length() if own.is_static else min(tokens, longest or tokens)
    sized = model
    if model.is_dynamic():
        sized = model.clone()
        sized.reshape({port: ov.PartialShape([1, at]) for port in sized.inputs})
    batch = sized.inputs[0].get_shape()[0]
    ratio = tokens / at
    multiply_adds = 0.0
    for node in sized.get_ordered_ops():
        products = _products(node)
        if products:
            fixed = any(weight_behind(value) is not None for value in node.input_values())
            multiply_adds += products / batch * (ratio if fixed else ratio * ratio)
    return ModelCost(count_parameters(model), round(multiply_adds), _sparsity(model), tokens, at)


def count_parameters(model: "ov.Model") -> int:
    """Count the values that training made, each once however often it is used.

    Those are float constants of more than one value and integer weights, without what only serves
    quantization: scales, zero points, and the limits of FakeQuantize.
    """
    sizes = {}
    helpers = {name for node in model.get_ordered_ops() for name in _helpers(node)}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().is_real():
            size = math.prod(node.get_output_shape(0))
            if size > 1 and not node.get_friendly_name().endswith(_SMOOTHING):
                sizes[node.get_name()] = size
        elif node.get_type_name() == "Multiply":
            weight = weight_behind(node.output(0), looked_up=True)
            if weight is not None and weight.is_integer:
                sizes[weight.constant.get_name()] = weight.size
    return sum(size for name, size in sizes.items() if name not in helpers)


def _helpers(node: "ov.Node") -> Iterator[str]:
    """Yield the names of the constants that quantization keeps beside its weights, as far as `node` tells."""
    if node.get_type_name() == "FakeQuantize":
        limits = [weight_behind(node.input_value(index)) for index in range(1, 5)]
        yield from (limit.constant.get_name() for limit in limits if limit is not None)
    elif node.get_type_name() == "Multiply":
        weight = weight_behind(node.output(0), looked_up=True)
        if weight is not None and weight.is_integer:
            yield from (part.get_name() for part in (weight.scale, weight.zero_point) if part is not None)


def _sparsity(model: "ov.Model") -> float:
    seen: set[str] = set()
    zeros = total = 0
    for _, _, weight in product_weights(model):
        if weight.constant.get_name() not in seen:
            seen.add(weight.constant.get_name())
            zeros += weight.size - _count_nonzero(weight.values)
            total += weight.size
    return zeros / total if total else 0.0


def _count_nonzero(values: Array) -> int:
    if values.dtype == np.float16:
        # numpy looks at float16 one by one; without the sign bit its zeros are the integer 0.
        values = values.view(np.uint16) << np.uint16(1)
    return int(np.count_nonzero(values))


def _products(node: "ov.Node") -> int:
    """Multiply-adds of one node; 0 if it is no matrix product."""
    kind = node.get_type_name()
    if kind == "MatMul":
        left = list(node.get_input_shape(0))
        inner = left[-2] if node.get_attributes()["transpose_a"] and len(left) > 1 else left[-1]
        return int(math.prod(node.get_output_shape(0)) * inner)
    if kind == "Einsum":
        sizes: dict[str, int] = {}
        terms = node.get_attributes()["equation"].replace(" ", "").split("->")[0].split(",")
        for index, term in enumerate(terms):
            shape = list(node.get_input_shape(index))
            # "..." stands for the axes that have no letter, aligned at their end.
            unnamed = len(shape) - len(term.replace("...", ""))
            for label, size in zip(term.replace("...", "9876543210"[10 - unnamed :]), shape, strict=True):
                sizes[label] = max(size, sizes.get(label, 1))
        return math.prod(sizes.values()) if len(terms) > 1 else 0
    if kind == "ScaledDotProductAttention":
        # query (.., L, E) times key (.., S, E), and the result (.., L, S) times value (.., S, V).
        *outer, length, size = node.get_input_shape(0)
        source, width = list(node.get_input_shape(2))[-2:]
        return int(math.prod(outer) * length * source * (size + width))
    if kind == "Convolution":
        # weights (out, in, window..)
        return int(math.prod(node.get_output_shape(0)) * math.prod(list(node.get_input_shape(1))[1:]))
    return 0
