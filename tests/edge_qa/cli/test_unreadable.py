"""What is not there, is something else, or may not be read ends with one line and one exit code, by what it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edge_qa.cli.app import COMMANDS, EXIT_CODES, LazyGroup
from edge_qa.errors import BundleError, EdgeQAError, InputError
from tests.support.checkpoints import write_checkpoint
from tests.support.rights import without_override
from tests.support.tiny import tiny_bundle

BUNDLE, INPUT = EXIT_CODES[BundleError], EXIT_CODES[InputError]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def place(tmp_path: Path, tiny: Path) -> Iterator[Path]:
    """A folder of files and folders of which none can be used."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked.jsonl").write_text('{"question": "who ?", "context": "ada", "answers": ["ada"]}\n')
    (tmp_path / "locked.jsonl").chmod(0)
    shutil.copytree(tiny, tmp_path / "locked-bundle").chmod(0)
    (write_checkpoint(tmp_path / "checkpoint") / "model.safetensors").chmod(0)
    write_checkpoint(tmp_path / "locked-checkpoint").chmod(0)
    yield tmp_path
    for locked in ("locked-bundle", "locked-checkpoint"):
        (tmp_path / locked).chmod(0o700)


FILES = ["missing", "folder", "locked.jsonl", "locked-bundle/inside", "locked.jsonl/inside"]
BUNDLES = ["missing", "folder", "locked.jsonl", "locked-bundle", "locked.jsonl/inside"]
CHECKPOINTS = ["missing", "folder", "locked.jsonl", "locked-checkpoint", "checkpoint", "locked.jsonl/inside"]


@pytest.mark.parametrize(
    ("call", "names", "code"),
    [
        ("ask NAME who --text ada", BUNDLES, BUNDLE),
        ("evaluate NAME --data DATA", BUNDLES, BUNDLE),
        ("inspect NAME", BUNDLES, BUNDLE),
        ("convert NAME OUT", CHECKPOINTS, BUNDLE),
        ("sparsify NAME OUT --pattern 1x4 --ratio 0.5", CHECKPOINTS, BUNDLE),
        ("ask TINY who --context NAME", FILES, INPUT),
        ("ask TINY who --documents NAME", FILES, INPUT),
        ("batch TINY NAME", FILES, INPUT),
        ("evaluate TINY --data NAME", FILES, INPUT),
        ("bench TINY --data NAME", FILES, INPUT),
        ("search NAME word", FILES, INPUT),
        ("index NAME OUT", ["missing", "locked-bundle", "locked.jsonl", "locked.jsonl/inside"], INPUT),
        ("index DATA NAME", ["folder", "locked.jsonl", "locked.jsonl/inside", "missing/inside"], INPUT),
        ("batch TINY DATA --output NAME", ["folder", "locked.jsonl", "locked.jsonl/inside", "missing/inside"], INPUT),
    ],
)
def test_one_kind_of_thing_has_one_exit_code(command, place, tiny, questions, call, names, code):
    for name in names:
        words = {"NAME": place / name, "OUT": place / "out", "DATA": questions, "TINY": tiny}
        with without_override():
            done = command(*(words.get(word, word) for word in call.split()))
        assert (done.code, done.out) == (code, ""), (name, done.err)
        assert done.err.startswith(f"error: {place / name}"), done.err
        assert done.err.count("\n") == 1
    assert not (place / "out").exists()


def test_no_command_lets_click_look_whether_a_file_can_be_read():
    group = LazyGroup("edge-qa")
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            assert not (isinstance(parameter.type, click.Path) and parameter.type.readable), (name, parameter.name)


def test_a_fault_that_a_worker_told_of_is_an_internal_error(command, monkeypatch, tiny):
    def failing(*_: object, **__: object) -> None:
        raise EdgeQAError("internal error (KeyError: 'x')")

    monkeypatch.setattr("edge_qa.cli.ask.QuestionAnswerer.load", failing)
    done = command("ask", tiny, "who ?", "--text", "ada")
    assert (done.code, done.err) == (70, "error: internal error (KeyError: 'x')\n")


CONTENTS = {
    "a number for data": ('{"data": 5}', "'data' is a number"),
    "an article that is none": ('{"data": [5]}', "data[0]: got a number"),
    "paragraphs that are none": ('{"data": [{"paragraphs": 5}]}', "data[0]: 'paragraphs' is a number"),
    "a layout that is not read": ('{"data": [{"raw_html": ""}]}', "is KorQuAD 2"),
}


@pytest.mark.parametrize("call", ["evaluate TINY --data NAME", "batch TINY NAME", "bench TINY --data NAME"])
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_wrong_in_a_data_set_begins_with_its_path(command, tmp_path, tiny, call, content):
    text, said = CONTENTS[content]
    (path := tmp_path / "data.json").write_text(text)
    done = command(*({"TINY": tiny, "NAME": path}.get(word, word) for word in call.split()))
    assert done.code == INPUT
    assert done.err.startswith(f"error: {path}: {said}")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("evaluate TINY --data NAME", "question '1' or its context is blank"),
        ("bench TINY --data NAME", "question 1: question is empty"),
        ("calibrate-confidence TINY OUT --data NAME", "0 questions give too few right answers"),
        ("quantize TINY OUT --calibration NAME", "no usable sample among 1 questions (question 1: question is empty"),
    ],
)
def test_a_question_that_cannot_be_asked_is_named_with_the_path_of_its_file(command, tmp_path, tiny, call, said):
    (path := tmp_path / "data.jsonl").write_text('{"question": " ", "context": "ada", "answers": ["ada"]}\n')
    done = command(*({"TINY": tiny, "NAME": path, "OUT": tmp_path / "out"}.get(word, word) for word in call.split()))
    assert done.code == INPUT
    assert done.err.startswith(f"error: {path}: {said}")
