"""Make INT8 weights safe on CPUs that add pairs of 8-bit products in 16 bits, at little cost in precision.

Where products are added in 16 bits, |a| + |b| <= 128 must hold for every two neighbouring weights
(converters/ir/int8_pairs.py). NNCF's
overflow fix halves the range of all weights for this (7 bits). But two large weights seldom meet: here
each output channel takes the range, between 64 and 127, with the least squared error after its few pairs
that would overflow have been moved to the nearest that do not. A range of 64 needs no moves, so no
channel fares worse than with NNCF's fix.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.ir.int8_pairs import LARGEST_PAIR
from edge_qa._openvino import ov


def fit_pairs(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return INT8 weights, (outputs, inputs), whose pairs (0, 1), (2, 3), ... along the inputs cannot overflow.

    A pair beyond the limit loses the same amount on both sides, which is the nearest point of the
    allowed diamond (Duchi et al. 2008, projection onto the l1 ball); the odd unit is taken from the first.
    """
    outputs, inputs = weights.shape
    padded = np.zeros((outputs, inputs + inputs % 2), np.int16)
    padded[:, :inputs] = weights
    pairs = padded.reshape(outputs, -1, 2)
    sizes = np.abs(pairs)
    excess = np.maximum(sizes.sum(axis=2) - LARGEST_PAIR, 0)
    # At most 2 * 128 - 128 = 128 is taken, 64 from each, and each has at least 0 left: if one is below
    # its share, the other would have to exceed 128.
    cut = np.stack([excess - excess // 2, excess // 2], axis=2)
    fitted = np.sign(pairs) * (sizes - cut)
    result: NDArray[np.int8] = fitted.reshape(outputs, -1)[:, :inputs].astype(np.int8)
    return result


def fit_channels(
    weights: NDArray[np.int8], ranges: Sequence[int] = range(64, 128, 4)
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return safe weights and the factor that each channel's scale grows by, (outputs, inputs) and (outputs, 1).

    weights: INT8 in the full range, (outputs, inputs). ranges: the largest magnitudes to try.
    """
    full = weights.astype(np.float32)
    top = np.maximum(np.abs(full).max(axis=1, keepdims=True), 1)
    best, factor = np.zeros_like(weights), np.ones_like(top)
    least = np.full((len(full), 1), np.inf, np.float32)
    for largest in (*ranges, 127):
        shrink = np.minimum(1, largest / top)
        fitted = fit_pairs(np.rint(full * shrink).astype(np.int8))
        error = np.square(fitted / shrink - full).sum(axis=1, keepdims=True)
        better = error < least
        least, factor = np.where(better, error, least), np.where(better, 1 / shrink, factor)
        best = np.where(better, fitted, best)
    return best, factor.astype(np.float32)


def fit_model(model: "ov.Model") -> int:
    """Fit the INT8 weights of every matrix product of the model in place; return how many there were."""
    found = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul" and node.get_attributes()["transpose_b"]:
            found += _fit_product(node.input_value(1).get_node())
    return found


def _fit_product(scaled: "ov.Node") -> bool:
    """Fit weights written as NNCF writes them: Multiply(Convert(INT8 constant), scales (outputs, 1))."""
    if scaled.get_type_name() != "Multiply" or scaled.input_value(0).get_node().get_type_name() != "Convert":
        return False
    convert, scales = scaled.input_value(0).get_node(), scaled.input_value(1).get_node()
    source = convert.input_value(0).get_node()
    if source.get_type_name() != "Constant" or source.get_element_type() != ov.Type.i8:
        return False
    fitted, factor = fit_channels(source.get_data())
    old = scales.get_data()
    convert.input(0).replace_source_output(_constant(fitted, source.get_friendly_name()))
    scaled.input(1).replace_source_output(_constant((old * factor).astype(old.dtype), scales.get_friendly_name()))
    return True


def _constant(array: NDArray[Any], name: str) -> "ov.Output":
    node = ov.op.Constant(np.ascontiguousarray(array))
    node.set_friendly_name(name)
    return node.output(0)
