"""An INT8 bundle whose answers have a confidence from the start."""

import json

import pytest

from calibration import ConfidenceOptions, QuantizationOptions, calibrate_confidence
from calibration.quantization import quantize as quantize_module
from calibration.quantization.quantize import quantize
from edge_qa import Bundle, QuestionAnswerer
from edge_qa.errors import InputError
from tests.support.command import Command
from tests.support.small_data import answers_of, write_questions
from tests.support.tiny import tiny_bundle

FEW = QuantizationOptions(samples=2)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def data(plain, tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("data") / "data.jsonl", answer=answers_of(plain))


@pytest.fixture(scope="module")
def without(plain, data, tmp_path_factory):
    return quantize(plain, tmp_path_factory.mktemp("without") / "int8", calibration=data, options=FEW).path


def confidence_of(path):
    return Bundle.load(path).manifest.confidence


def test_it_is_what_calibrating_the_int8_bundle_gives(plain, data, without, tmp_path):
    result = quantize(plain, tmp_path / "int8", calibration=data, confidence=data, options=FEW)
    apart = calibrate_confidence(without, tmp_path / "apart", data=data, options=ConfidenceOptions())
    assert confidence_of(without) is None
    assert confidence_of(tmp_path / "int8") == apart.record == result.manifest.confidence
    assert result.manifest.files == Bundle.load(without).manifest.files
    with QuestionAnswerer.load(tmp_path / "int8") as qa:
        assert qa.answer("ada flew ?", "ada flew a pilot at noon").confidence is not None


@pytest.mark.parametrize(("wanted", "fitted"), [(True, True), (False, False)])
def test_a_calibration_file_with_answers_enough_fits_it(plain, data, tmp_path, monkeypatch, wanted, fitted):
    monkeypatch.setattr(quantize_module, "_ENOUGH_ANSWERS", 10)
    options = QuantizationOptions(samples=2, confidence=wanted)
    quantize(plain, tmp_path / "int8", calibration=data, options=options)
    assert (confidence_of(tmp_path / "int8") is not None) == fitted


def test_a_calibration_file_about_one_text_is_no_reason_to_fail(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(quantize_module, "_ENOUGH_ANSWERS", 10)
    rows = [{"question": f"who {n} ?", "context": "ada flew a pilot at noon", "answers": ["ada"]} for n in range(12)]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = quantize(plain, tmp_path / "int8", calibration=tmp_path / "one.jsonl", options=FEW)
    assert result.manifest.confidence is None
    assert any(
        note.startswith("no confidence was fitted: ") and "12 questions give too few" in note for note in result.notes
    )


def test_data_that_cannot_fit_one_leaves_nothing_behind(plain, data, tmp_path):
    one = tmp_path / "one.jsonl"
    one.write_text('{"question": "who ?", "context": "ada flew", "answers": ["ada"]}\n')
    with pytest.raises(InputError, match=r"one\.jsonl: .*too few"):
        quantize(plain, tmp_path / "int8", calibration=data, confidence=one, options=FEW)
    assert {path.name for path in tmp_path.iterdir()} == {"one.jsonl"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--confidence", "a.jsonl", "--no-confidence"], "--confidence and --no-confidence exclude each other"),
        (["--engine", "native", "--confidence", "a.jsonl"], "--confidence is for --engine openvino"),
        (["--engine", "native", "--no-confidence"], "--no-confidence is for --engine openvino"),
    ],
)
def test_options_that_cannot_be_together(plain, data, tmp_path, monkeypatch, capsys, options, message):
    calibration = [] if "native" in options else ["--calibration", str(data)]
    result = Command(monkeypatch, capsys)("quantize", str(plain), str(tmp_path / "out"), *calibration, *options)
    assert result.code == 2
    assert message in result.err


def test_the_command_says_what_was_fitted(plain, data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "int8"
    result = Command(monkeypatch, capsys)(
        "quantize", str(plain), str(out), "--calibration", str(data), "--samples", "2", "--confidence", str(data)
    )
    assert result.code == 0
    record = confidence_of(out)
    assert f"confidence fitted on data.jsonl, {record.questions} questions, expected calibration error" in result.out
