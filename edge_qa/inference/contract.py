"""The inputs of the four-input contract: made from windows, and checked, the same for every engine."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_qa.bundle.manifest import INPUT_ROLES, IORecord, ModelRecord
from edge_qa.errors import InputError
from edge_qa.text.windows import Window

Inputs = Mapping[str, NDArray[np.int64]]


def batch_inputs(windows: Sequence[Window], length: int, rows: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Return windows as inputs of the contract, (rows, length) each; the rest is padding.

    rows: how many; None for as many as windows.
    """
    shape = (rows or len(windows), length)
    inputs = {role: np.zeros(shape, np.int64) for role in INPUT_ROLES[:3]}
    for row, window in enumerate(windows):
        inputs["input_ids"][row, : window.tokens] = window.input_ids
        inputs["token_type_ids"][row, : window.tokens] = window.token_type_ids
        inputs["attention_mask"][row, : window.tokens] = 1
    inputs["position_ids"] = np.broadcast_to(np.arange(length), shape)
    return inputs


def check_inputs(inputs: Inputs, io: IORecord, model: ModelRecord) -> None:
    """Raise InputError unless every input is there, of integers, of one shape, and in range."""
    missing = [role for role in io.inputs if role not in inputs]
    if missing:
        raise InputError(f"{', '.join(missing)} missing", where="inputs", remedy=f"wanted {', '.join(io.inputs)}")
    shape = inputs["input_ids"].shape
    ceilings = {
        "input_ids": model.vocabulary,
        "attention_mask": 2,
        "token_type_ids": max(1, model.token_types),
        "position_ids": model.longest_input,
    }
    for role in io.inputs:
        array = inputs[role]
        if array.dtype.kind not in "iu":
            raise InputError(f"got {array.dtype}", where=role, wanted="integers")
        if array.ndim != 2 or array.shape != shape or not array.size:
            raise InputError(f"got shape {array.shape}", where=role, wanted="(batch, tokens), the same for every input")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= ceilings[role]:
            raise InputError(f"got values {low}..{high}", where=role, wanted=f"0..{ceilings[role] - 1}")
    if shape[1] > model.longest_input:
        raise InputError(f"{shape[1]} tokens, the model takes at most {model.longest_input}", where="input_ids")
    if io.batch not in (None, shape[0]) or io.tokens not in (None, shape[1]):
        fixed = f"({io.batch or 'any'}, {io.tokens or 'any'})"
        raise InputError(f"got shape {shape}, the model takes {fixed} only", where="input_ids", remedy="pad to it")
