"""What a manifest promises of a model's inputs, held against the embedding tables that they look up.

OpenVINO answers from rows that a table does not have, without an error.
"""

import os

from edge_qa._openvino import ov
from edge_qa.bundle.manifest import Manifest
from edge_qa.errors import BundleError

# What may stand between an input and the table that it indexes, and leaves every index as it is.
_PASSING = ("Convert", "Reshape", "Squeeze", "Unsqueeze")


def check_table_rows(model: ov.Model, manifest: Manifest, where: str | os.PathLike[str]) -> None:
    """Raise BundleError if the manifest promises more words, types or positions than a table has rows for.

    A table that an input does not index directly is not found, and not checked.
    """
    parameters = {name: port for port in model.inputs for name in port.get_names()}
    promised = {
        "input_ids": ("vocabulary", manifest.model.vocabulary),
        "token_type_ids": ("token_types", max(1, manifest.model.token_types)),
        "position_ids": ("longest_input", manifest.model.longest_input),
    }
    problems = []
    for role, (key, count) in promised.items():
        record = manifest.io.inputs.get(role)
        rows = None if record is None or record.name not in parameters else _rows_left(parameters[record.name])
        if rows is not None and count > rows:
            problems.append(f"manifest.model.{key}: got {count}, the model's table has rows for {rows}")
    if problems:
        raise BundleError("; ".join(problems), where=where, remedy="restore the bundle or make it again")


def _rows_left(port: ov.Output, offset: int = 0) -> int | None:
    """How many rows, from the first that is used, the smallest table has that `port` plus `offset` indexes."""
    found: list[int | None] = []
    for target in port.get_target_inputs():
        node = target.get_node()
        kind = node.get_type_name()
        if kind == "Gather" and target.get_index() == 1:
            rows = node.get_input_partial_shape(0)[0]
            if rows.is_static:
                found.append(int(rows.get_length()) - offset)
        elif kind in _PASSING:
            found.append(_rows_left(node.output(0), offset))
        elif kind == "Add":
            other = node.input_value(1 - target.get_index()).get_node()
            if other.get_type_name() == "Constant" and other.get_output_element_type(0).is_integral():
                values = other.get_data()
                if values.size == 1:
                    found.append(_rows_left(node.output(0), offset + int(values.item())))
    return min((rows for rows in found if rows is not None), default=None)
