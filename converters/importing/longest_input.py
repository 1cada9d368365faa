"""How long an input a foreign model takes: measured on its position embeddings."""

import numpy as np

from converters.importing.embedding_tables import Table
from converters.importing.roles import Roles
from converters.ir.constants import weight_behind
from edge_qa._openvino import ov, this_core

_ops = ov.opset15


def count_positions(model: "ov.Model", roles: Roles) -> int | None:
    """Return how many tokens the position table of a model has rows for; None if no such table is found.

    Which row the last of n tokens takes is measured, because families differ in where they begin
    (RoBERTa at 2), and reading past the end of a table is no error in OpenVINO.
    """
    table = _position_table(roles)
    if table is not None:
        return table.rows - _offset(model, roles, table)
    return _sliced_rows(model, roles)


def _position_table(roles: Roles) -> Table | None:
    if "position_ids" in roles.inputs:
        return roles.inputs["position_ids"].table
    known = {
        found.table.lookup.get_name() for role, found in roles.inputs.items() if found.table and role != "position_ids"
    }
    others = [
        table
        for table in roles.tables
        if table.lookup.get_name() not in known and table.lookup.get_type_name() == "Gather"
    ]
    return others[0] if len(others) == 1 else None


def _offset(model: "ov.Model", roles: Roles, table: Table) -> int:
    """The row of the first token: the largest row that n tokens read, less n - 1."""
    indices = _ops.convert(table.lookup.input_value(1), "i64")
    probe = ov.Model([_ops.result(indices)], model.get_parameters(), "positions")
    axes = model.inputs[roles.inputs["input_ids"].index].get_partial_shape()
    shape = tuple(8 if axis.is_dynamic else int(axis.get_length()) for axis in axes)
    # A word of the middle of the vocabulary: no padding, which some families do not count.
    words = roles.inputs["input_ids"].table
    assert words is not None
    values = {
        "input_ids": np.full(shape, words.rows // 2),
        "attention_mask": np.ones(shape),
        "token_type_ids": np.zeros(shape),
        "position_ids": np.broadcast_to(np.arange(shape[1]), shape),
    }
    request = this_core().compile_model(probe, "CPU").create_infer_request()
    types = [port.get_element_type().to_dtype() for port in model.inputs]
    bound = {found.index: values[role].astype(types[found.index]) for role, found in roles.inputs.items()}
    rows = next(iter(request.infer(bound, share_inputs=False).values()))
    return int(rows.max()) - (shape[1] - 1)


def _sliced_rows(model: "ov.Model", roles: Roles) -> int | None:
    """The rows of a table (.., rows, width of the words) of which the first n are sliced off."""
    words = roles.inputs["input_ids"].table
    found = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("Slice", "StridedSlice"):
            weight = weight_behind(node.input_value(0))
            if weight is not None and len(weight.shape) in (2, 3) and words and weight.shape[-1] == words.columns:
                found.add(weight.shape[-2])
    return found.pop() if len(found) == 1 else None
