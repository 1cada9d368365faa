"""Checkpoints on disk."""

from pathlib import Path

import pytest

from tests.support.torch_pickle_by_hand import (
    SIX,
    Member,
    pickled,
    zipped,
)


@pytest.fixture
def write(tmp_path):
    """Write a zip checkpoint of one pickle and its storages; return its path."""

    def write(value: bytes, storages: dict[str, bytes] | None = None, extra: tuple[Member, ...] = ()) -> Path:
        data = {"0": SIX} if storages is None else storages
        path = tmp_path / "pytorch_model.bin"
        members = [Member("m/data.pkl", pickled(value)), *(Member(f"m/data/{k}", v) for k, v in data.items()), *extra]
        path.write_bytes(zipped(members))
        return path

    return write


@pytest.fixture
def write_bytes(tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(data)
        return path

    return write
