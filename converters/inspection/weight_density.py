"""The zeros in the weights of an IR as they are stored, whatever their type: floats, or 8 bits with a scale.

Rounding to 8 bits turns small weights into zeros, too; what must not happen is that a zero becomes
something else. `lost_zeros` compares two bundles value by value.
"""

from collections.abc import Iterator

import numpy as np

from converters.inspection.zero_patterns import Mask, is_nonzero
from converters.ir.constants import product_weights
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError


def weight_zeros(bundle: Bundle) -> dict[str, tuple[int, int]]:
    """Return (zeros, values) of the weight of every matrix product, by the name of the product."""
    return {name: (int(mask.size - np.count_nonzero(mask)), mask.size) for name, mask in nonzero_masks(bundle)}


def lost_zeros(before: Bundle, after: Bundle) -> dict[str, int]:
    """Return for every matrix of `before` how many of its zeros are not zero in `after`.

    Raises BundleError if a matrix is missing in `after` or has another shape there.
    """
    masks = dict(nonzero_masks(after))
    lost = {}
    for name, mask in nonzero_masks(before):
        if name not in masks or masks[name].shape != mask.shape:
            got = "missing" if name not in masks else "x".join(map(str, masks[name].shape))
            raise BundleError(
                f"matrix {name} is {got}, in {before.path} it is {'x'.join(map(str, mask.shape))}",
                where=after.path,
                remedy="compare two bundles of the same model",
            )
        lost[name] = int(np.count_nonzero(masks[name] & ~mask))
    return lost


def nonzero_masks(bundle: Bundle) -> Iterator[tuple[str, Mask]]:
    """Yield the name of every matrix product with a constant weight, and where that (out, in) is not zero.

    Names are those of the graph without ".matmul", such as "encoder.layer.0.attention.query".
    """
    try:
        model = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    except RuntimeError:
        raise BundleError("OpenVINO cannot read its model", where=bundle.path, remedy="make the bundle again") from None
    for node, index, weight in product_weights(model):
        if node.get_type_name() == "MatMul" and index == 1 and len(weight.shape) == 2:
            outputs_first = node.get_attributes()["transpose_b"] != _is_turned(node.input_value(1).get_node())
            mask = is_nonzero(weight.values)
            yield node.get_friendly_name().removesuffix(".matmul"), mask if outputs_first else mask.T


def _is_turned(node: "ov.Node") -> bool:
    """True if a weight is transposed between its constant and where it is multiplied."""
    turned = False
    while node.get_type_name() != "Constant":
        turned ^= node.get_type_name() == "Transpose"
        node = node.input_value(0).get_node()
    return turned
