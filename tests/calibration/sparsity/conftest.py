"""A small model, questions and the command."""

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.small_model import source_of, write_questions


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return source_of(tmp_path_factory.mktemp("source") / "model")


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return write_questions(tmp_path_factory.mktemp("data"))


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)
