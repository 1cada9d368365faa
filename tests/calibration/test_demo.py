"""The demo: where its examples come from, and that it makes and asks both bundles."""

import pytest

from calibration import demo as demo_module
from calibration.demo import demo
from edge_qa.errors import InputError
from tests.support.command import Command
from tests.support.small_data import write_questions
from tests.support.tiny_training import tiny_checkpoint, tiny_squad


@pytest.fixture
def command(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def test_it_converts_quantizes_scores_and_asks(tmp_path):
    said = []
    checkpoint, data = tiny_checkpoint(tmp_path / "checkpoint"), tiny_squad(tmp_path / "data.json")
    made = demo(tmp_path / "demo", checkpoint=checkpoint, data=data, samples=4, say=said.append)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"fp16", "int8"}
    assert set(made.seconds) == {"convert", "quantize", "ask"}
    assert len(made.answers) == 3
    assert said[0] == f"convert {checkpoint} to OpenVINO IR, verified against the reference"


def test_a_checkout_carries_what_the_demo_needs():
    assert (demo_module._EXAMPLES / "models" / "minilm-squad" / "config.json").is_file()
    assert (demo_module._EXAMPLES / "data" / "questions.json").is_file()


def test_an_installation_without_examples_says_what_to_give(tmp_path, monkeypatch, command):
    monkeypatch.setattr(demo_module, "_EXAMPLES", tmp_path / "none")
    with pytest.raises(InputError, match="carries no example; give `checkpoint` and `data`"):
        demo(tmp_path / "demo")
    shown = command("demo", "--folder", tmp_path / "demo", "--data", write_questions(tmp_path / "q.jsonl"))
    assert shown.err == "error: demo: this installation carries no example; give --checkpoint\n"
    assert not (tmp_path / "demo").exists()
