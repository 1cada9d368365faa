"""What a run must not lose: written whole or not at all, and read only by the run that wrote it."""

import io
from pathlib import Path
from typing import Any

from edge_qa.errors import InputError, missing_extra
from edge_qa.files import write_file

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

State = dict[str, Any]
_FORM = 2


def save_state(path: Path, run: str, state: State) -> None:
    """Write the state of the run that is called `run`; tensors, numbers, texts, lists and dicts only."""
    content = io.BytesIO()
    torch.save({"form": _FORM, "run": run, **state}, content)
    write_file(path, content.getvalue())


def load_state(path: Path, run: str) -> State:
    """Read it back. Raises InputError if it is damaged or of another run."""
    try:
        # Tensors and plain values only: a file that holds code is refused.
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        form, written_by = state["form"], state["run"]
    except Exception as error:
        kind = type(error).__name__
        raise InputError(f"not a whole training state ({kind})", where=path, remedy="remove it to begin anew") from None
    if form != _FORM or written_by != run:
        raise InputError(
            "the state of another run",
            where=path,
            remedy="resume with the same checkpoint, data and options, or give another `state` folder",
        )
    return state
