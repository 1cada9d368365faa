"""Parameters, multiply-adds and sparsity, counted on the IR alone: one truth, for imported models too."""

from dataclasses import dataclass

import numpy as np

from edge_qa._openvino import ov


@dataclass(frozen=True)
class ModelCost:
    """parameters: values in the weights. multiply_adds: of all matrix products for one input of `tokens` tokens.

    sparsity: the share of zeros in the weights of matrix products, 0..1.
    """

    parameters: int
    multiply_adds: int
    sparsity: float


def count(model: "ov.Model", tokens: int = 384) -> ModelCost:
    """Count a model with floating-point weights; `model` is left as it is."""
    sized = model.clone()
    sized.reshape({port: ov.PartialShape([1, tokens]) for port in sized.inputs})
    parameters, multiply_adds, zeros, weights = 0, 0, 0, 0
    for node in sized.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Constant" and _is_weight(node):
            parameters += int(np.prod(node.get_output_shape(0)))
        elif kind == "MatMul":
            multiply_adds += _products(node)
            weight = _constant_behind(node.input_value(1))
            if weight is not None:
                values = weight.get_data()
                zeros += int(values.size - np.count_nonzero(values))
                weights += int(values.size)
    return ModelCost(parameters, multiply_adds, zeros / weights if weights else 0.0)


def _is_weight(node: "ov.Node") -> bool:
    """True for what training made: floating point, and more than a scalar."""
    return node.get_element_type().is_real() and int(np.prod(node.get_output_shape(0))) > 1


def _products(node: "ov.Node") -> int:
    """Multiply-adds of one MatMul: outputs times the length of the summed axis."""
    inner_axis = -2 if node.get_attributes()["transpose_a"] else -1
    inner = list(node.get_input_shape(0))[inner_axis]
    return int(np.prod(node.get_output_shape(0))) * int(inner)


def _constant_behind(output: "ov.Output") -> "ov.Node | None":
    """The constant that a weight input comes from, through conversions, or None."""
    node = output.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None
