"""Store embedding tables in 8 bits, each row with its own scale, and look rows up before they are widened.

A table is looked up, never multiplied, so its full 8-bit range is safe on every CPU. NNCF would give it
the range of the products (7 bits with the overflow fix) and a graph that widens the whole table when it
is compiled: 47 MB for BERT's vocabulary at hidden size 384, instead of 12.
"""

import numpy as np

from edge_qa._openvino import ov

_ops = ov.opset15


def table_lookups(model: "ov.Model") -> list["ov.Node"]:
    """Return the Gather nodes that look rows up in a constant floating-point matrix."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Gather" and _table(node) is not None]


def quantize_tables(model: "ov.Model") -> None:
    """Rewrite every embedding lookup of the model in place: INT8 rows times their scales."""
    for gather in table_lookups(model):
        table = _table(gather)
        assert table is not None
        values = table.get_data().astype(np.float32)
        largest = np.abs(values).max(axis=1, keepdims=True)
        scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        rows = np.rint(values / scales).astype(np.int8)
        name, readers = gather.get_friendly_name(), gather.output(0).get_target_inputs()
        indices, axis = gather.input_value(1), gather.input_value(2)
        found = _ops.gather(_constant(rows, f"{name}.weight"), indices, axis, name=f"{name}.rows")
        factors = _ops.gather(_constant(scales, f"{name}.scales"), indices, axis, name=f"{name}.scale")
        gather.set_friendly_name(f"{name}.before")
        wide = _ops.multiply(_ops.convert(found, "f32", name=f"{name}.rows.f32"), factors, name=name)
        for reader in readers:
            reader.replace_source_output(wide.output(0))


def _table(gather: "ov.Node") -> "ov.Node | None":
    """The constant matrix of floating-point numbers whose rows a Gather looks up, or None."""
    source, axis = gather.input_value(0).get_node(), gather.input_value(2).get_node()
    if source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    if source.get_type_name() != "Constant" or axis.get_type_name() != "Constant" or axis.get_data().item() != 0:
        return None
    shape = source.get_output_shape(0)
    # One column is no table of rows, but what scales one.
    return source if source.get_element_type().is_real() and len(shape) == 2 and shape[1] > 1 else None


def _constant(array: np.ndarray, name: str) -> "ov.Node":
    node = ov.op.Constant(array)
    node.set_friendly_name(name)
    return node
