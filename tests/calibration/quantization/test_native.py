"""`quantize --engine native`: no data calibrates, the gate judges the native engine, and its scores say so."""

import json
from pathlib import Path

import pytest

from calibration.quantization.quantize import quantize
from converters.native.bundle import pack_native
from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, PACKED_MODEL
from edge_qa.errors import InputError
from tests.support.command import Command
from tests.support.kernels import importable, install
from tests.support.small_data import answers_of, write_questions
from tests.support.tiny import tiny_bundle

CARRIED = Path(__file__).resolve().parents[3] / "examples" / "models" / "minilm-squad-small-int8"
VERDICT, USAGE, BUNDLE, RESOURCES = 1, 2, 3, 6


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def _kernels(installed, monkeypatch):
    with importable(installed, monkeypatch):
        yield


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def questions(plain, tmp_path_factory):
    """Questions with the answers of the float model."""
    return write_questions(tmp_path_factory.mktemp("data") / "questions.jsonl", answer=answers_of(plain), every=4)


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


def test_nothing_is_needed_but_the_bundle(command, plain, tmp_path):
    result = command("quantize", plain, tmp_path / "out", "--engine", "native")
    assert result.code == 0, result.err
    assert "INT8 for the native engine" in result.out
    made, packed = Bundle.load(tmp_path / "out"), pack_native(plain, tmp_path / "packed")
    assert made.manifest.files[PACKED_MODEL] == packed.manifest.files[PACKED_MODEL]
    assert made.manifest.files[MODEL_BIN] == Bundle.load(plain).manifest.files[MODEL_BIN]
    step = made.manifest.lineage[-1]
    assert (step.recipe, step.options["engine"]) == ("quantize", "native")
    assert step.source == Bundle.load(plain).manifest.digest
    assert made.manifest.scores == ()
    assert QuestionAnswerer.load(tmp_path / "out").engine.name == "native"


def test_scores_name_their_engine(command, plain, questions, tmp_path):
    page = tmp_path / "page.html"
    arguments = ["quantize", plain, tmp_path / "out", "--engine", "native", "--evaluation", questions, "--limit", 20]
    result = command(*arguments, "--max-drop", 60, "--json", "--html", page)
    assert result.code == 0, result.err
    assert result.json["before"]["settings"]["engine"] == "openvino"
    (score,) = Bundle.load(tmp_path / "out").manifest.scores
    assert (score.settings["engine"], score.settings["precision"], score.questions) == ("native", "int8", 20)
    assert score.f1 == result.json["after"]["scores"]["f1"]
    assert result.json["gate"]["drop"]["points"] == pytest.approx(result.json["before"]["scores"]["f1"] - score.f1)
    (trial,) = result.json["gate"]["trials"]
    assert (trial["recipe"]["name"], trial["verdict"]) == ("native", "passed")
    assert 0 < trial["logit_error"] < 0.2
    assert Bundle.load(tmp_path / "out").manifest.lineage[-1].options["max_drop"] == "60"
    assert "Recipes tried" not in page.read_text()


def test_a_gate_that_is_not_met_leaves_nothing(command, plain, tmp_path):
    wrong = tmp_path / "wrong.jsonl"  # only questions that the engines answer differently, the float model's as gold
    write_questions(wrong, answer=answers_of(plain), every=4)
    lines = [json.loads(line) for line in wrong.read_text().splitlines()]
    packed = pack_native(plain, tmp_path / "packed").path
    native = QuestionAnswerer.load(packed, engine="native")
    differ = [one for one in lines if native.answer(one["question"], one["context"]).text not in one["answers"]]
    if not differ:
        pytest.skip("both engines give the same answers to all of these")
    wrong.write_text("".join(json.dumps(one) + "\n" for one in differ))
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "bundle"
    result = command("quantize", plain, out, "--engine", "native", "--evaluation", wrong, "--max-drop", 0)
    assert result.code == VERDICT
    assert "the native engine loses" in result.err
    assert list((tmp_path / "out").iterdir()) == []


def test_earlier_scores_stay(plain, questions, tmp_path):
    first = quantize(plain, tmp_path / "a", engine="native", evaluation=questions, limit=5)
    second = quantize(first.path, tmp_path / "b", engine="native", evaluation=questions, limit=6)
    assert [score.questions for score in second.manifest.scores] == [5, 6]


@pytest.mark.parametrize(
    "option", [("--calibration", "questions.json"), ("--samples", "3"), ("--target", "any"), ("--seed", "0")]
)
def test_options_of_calibration_are_refused(command, plain, tmp_path, option):
    result = command("quantize", plain, tmp_path / "out", "--engine", "native", *option)
    assert result.code == USAGE
    assert option[0] in result.err


def test_openvino_still_needs_questions(command, plain, tmp_path):
    result = command("quantize", plain, tmp_path / "out")
    assert result.code == USAGE
    assert "--calibration" in result.err
    with pytest.raises(InputError, match="calibration"):
        quantize(plain, tmp_path / "out")


def test_a_quantized_bundle_is_refused(command, tmp_path):
    result = command("quantize", CARRIED, tmp_path / "out", "--engine", "native")
    assert result.code == BUNDLE
    assert "quantized already" in result.err


def test_without_the_kernels_it_is_not_scored(command, plain, questions, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_qa.inference.engine_choice.this_library", lambda: None)
    arguments = ["quantize", plain, tmp_path / "out", "--engine", "native"]
    result = command(*arguments, "--evaluation", questions)
    assert result.code == RESOURCES
    assert not (tmp_path / "out").exists()
    assert command(*arguments).code == 0  # packing itself takes no kernels
