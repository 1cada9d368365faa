"""What a traced model needs before it is written: stable names, and weights in float16."""

import numpy as np

from converters.ir.storage import stabilise_names, stored
from edge_qa._openvino import ov

_ops = ov.opset15


def stabilise_traced(model: "ov.Model") -> None:
    """Give names that depend on the graph alone to a model and to the branches and loops inside it."""
    for node in model.get_ordered_ops():
        kind, bodies = node.get_type_name(), []
        if kind == "If":
            bodies = [node.get_then_body(), node.get_else_body()]
        elif kind in ("Loop", "TensorIterator"):
            bodies = [node.get_function()]
        for body in bodies:
            for end, nodes in (("in", body.get_parameters()), ("out", body.get_results())):
                for index, inner in enumerate(nodes):
                    inner.set_friendly_name(f"{end}.{index}")
            stabilise_traced(body)
    stabilise_names(model)


def compress_exactly(model: "ov.Model") -> None:
    """Store as float16 every matrix whose values float16 holds; nothing is rounded here."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.f32:
            continue
        values = node.get_data()
        halves = stored(values)
        if values.size < 2 or halves.dtype != np.float16 or not np.array_equal(halves, values):
            continue
        name = node.get_friendly_name()
        constant = ov.op.Constant(halves)
        constant.set_friendly_name(name)
        widened = _ops.convert(constant, "f32", name=f"{name}.f32")
        # Tells the plugin and NNCF that this conversion only unpacks a stored weight.
        widened.get_rt_info()["decompression"] = ""
        node.output(0).replace(widened.output(0))
