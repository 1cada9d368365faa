"""Names that depend on the graph alone, so that the same model is always written as the same bytes."""

import re

from edge_qa._openvino import ov

# OpenVINO names what nobody named after its kind and a counter of the whole process; where a file
# uses such a name itself, one more number keeps the two apart.
_COUNTED = re.compile(r"[A-Za-z0-9]+(_\d+)+")


def stabilise_names(model: "ov.Model") -> None:
    """Rename every counted node after the first named node that reads it."""
    for node in reversed(model.get_ordered_ops()):
        if _COUNTED.fullmatch(node.get_friendly_name()):
            port = min(
                (port for output in node.outputs() for port in output.get_target_inputs()),
                key=lambda port: (port.get_node().get_friendly_name(), port.get_index()),
            )
            node.set_friendly_name(f"{port.get_node().get_friendly_name()}/{port.get_index()}")
