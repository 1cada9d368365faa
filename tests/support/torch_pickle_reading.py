"""What every test of the reader expects: arrays, or one line that names the file."""

from pathlib import Path

import pytest

from converters.checkpoints.torch_pickle.reader import read_state_dict
from edge_qa.errors import CheckpointError
from tests.support.places import GOLDEN_FILES

GOLDEN = GOLDEN_FILES / "torch_pickle"  # written by tests/golden/make_torch_pickle.py


def rejected(path: Path, match: str) -> str:
    with pytest.raises(CheckpointError, match=match) as caught:
        read_state_dict(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 700
    return message


def read_or_reject(path: Path) -> bool:
    """Read a damaged file and touch each array; True if it was read, False if it was refused in one line."""
    message = ""
    try:
        for array in read_state_dict(path).values():
            if array.nbytes < 2**20:
                array.tobytes()
    except CheckpointError as error:
        message = str(error)
    assert not message or message.startswith(f"{path}: ")
    assert "\n" not in message
    return not message
