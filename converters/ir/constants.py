"""The trained weight behind an input of a graph, through everything that only unpacks it.

Three ways to store a weight are known: a float constant, perhaps widened (Constant -> Convert); an
integer one with its scale (Constant -> Convert -> [Subtract zero point] -> Multiply scale), as NNCF
writes it; and a float one that is rounded as the model is loaded (Constant -> FakeQuantize), as the
quantized models of the Open Model Zoo have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from converters.model.encoder import Array
from edge_qa._openvino import ov

# Ops whose first input is the data and that leave every value, and how many there are, as they were.
_UNPACKING = ("Convert", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
_READ_AS_THEY_ARE = (ov.Type.f32, ov.Type.f16, ov.Type.i8, ov.Type.u8)


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant, and what stands between it and where it is used.

    scale, zero_point: the constants of an integer weight. quantizer: the FakeQuantize of a float one.
    """

    constant: "ov.Node"
    scale: "ov.Node | None" = None
    zero_point: "ov.Node | None" = None
    quantizer: "ov.Node | None" = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in which it is stored."""
        return tuple(self.constant.get_output_shape(0))

    @property
    def size(self) -> int:
        """How many values it has."""
        return int(np.prod(self.shape))

    @property
    def is_integer(self) -> bool:
        """Whether it is stored in integers."""
        return not self.constant.get_element_type().is_real()

    @property
    def values(self) -> Array:
        """The values as they are stored; those of an integer weight less its zero point."""
        values = stored_values(self.constant)
        if self.zero_point is None:
            return values
        return values.astype(np.int32) - stored_values(self.zero_point).astype(np.int32)


def weight_behind(output: "ov.Output", *, looked_up: bool = False) -> Weight | None:
    """Return the weight that `output` unpacks, or None if anything but a constant takes part in it.

    looked_up: go through lookups too, to the table whose rows `output` holds.
    """
    node = output.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        return Weight(node)
    if kind in _UNPACKING or (looked_up and kind == "Gather"):
        return weight_behind(node.input_value(0), looked_up=looked_up)
    if kind == "FakeQuantize":
        found = weight_behind(node.input_value(0), looked_up=looked_up)
        return found and replace(found, quantizer=node)
    if kind in ("Subtract", "Multiply"):
        data = weight_behind(node.input_value(0), looked_up=looked_up)
        other = data and weight_behind(node.input_value(1), looked_up=looked_up)
        if data is None or other is None:
            return None
        if kind == "Subtract":
            return replace(data, zero_point=other.constant)
        if other.is_integer and not data.is_integer:
            data, other = other, data
        return replace(data, scale=other.constant)
    return None


def stored_values(constant: "ov.Node") -> Array:
    """Return the values of a constant; types that numpy lacks are widened to float32."""
    if constant.get_element_type() in _READ_AS_THEY_ARE:
        return constant.get_data()  # type: ignore[no-any-return]
    return constant.get_data(dtype=np.float32)  # type: ignore[no-any-return]


def product_weights(model: "ov.Model") -> Iterator[tuple["ov.Node", int, Weight]]:
    """Yield (product, input, weight) for every input of a matrix product that is a weight."""
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("MatMul", "Einsum", "Convolution"):
            for index in range(node.get_input_size()):
                weight = weight_behind(node.input_value(index))
                if weight is not None:
                    yield node, index, weight
