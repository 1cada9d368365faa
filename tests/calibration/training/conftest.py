"""A tiny checkpoint and data to train it on."""

from pathlib import Path

import pytest

from tests.support.tiny_training import tiny_checkpoint, tiny_squad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    tiny_checkpoint(folder / "checkpoint")
    tiny_squad(folder / "data.json")
    return folder
