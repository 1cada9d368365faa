"""Look rows of an INT8 embedding table up before they are widened, so that it stays small in memory.

NNCF writes a table as INT8, widened and scaled, and then looked up; when such a graph is compiled the
whole table is widened: 47 MB for BERT's vocabulary at hidden size 384, instead of 12. Rows looked up
first and widened then are the same numbers. (A float16 table gains nothing: the CPU plugin widens it in
either place.)
"""

from edge_qa._openvino import ov

_ops = ov.opset15


def widen_after_lookup(model: "ov.Model") -> int:
    """Rewrite every lookup in a widened INT8 table in place; return how many there were."""
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "Gather"]
    return sum(_rewrite(gather) for gather in found)


def _rewrite(gather: "ov.Node") -> bool:
    table, scale = gather.input_value(0).get_node(), None
    if table.get_type_name() == "Multiply":
        scale, table = table.input_value(1).get_node(), table.input_value(0).get_node()
    if table.get_type_name() != "Convert" or not _is_rows(scale, table):
        return False
    name, readers = gather.get_friendly_name(), gather.output(0).get_target_inputs()
    indices, axis = gather.input_value(1), gather.input_value(2)
    rows = _ops.gather(table.input_value(0), indices, axis, name=f"{name}.rows")
    wide = _ops.convert(rows, "f32")
    if scale is not None:
        factors = _ops.convert(_ops.gather(scale, indices, axis, name=f"{name}.scale"), "f32", name=f"{name}.scale.f32")
        wide.set_friendly_name(f"{name}.rows.f32")
        wide = _ops.multiply(wide, factors)
    # Another conversion, from float16, may follow; one from float32 to float32 costs nothing.
    gather.set_friendly_name(f"{name}.before")
    wide.set_friendly_name(name)
    for reader in readers:
        reader.replace_source_output(wide.output(0))
    return True


def _is_rows(scale: "ov.Node | None", table: "ov.Node") -> bool:
    """True for a constant table of 8-bit integers, scaled row by row or not at all."""
    source = table.input_value(0).get_node()
    if source.get_type_name() != "Constant" or source.get_element_type() not in (ov.Type.i8, ov.Type.u8):
        return False
    if scale is None:
        return True
    rows = table.get_output_shape(0)[0]
    return scale.get_type_name() == "Constant" and list(scale.get_output_shape(0)) == [rows, 1]
