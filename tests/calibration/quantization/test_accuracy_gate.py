"""The accuracy gate through the real command: what passes is written whole, what does not leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.experiments.hard_to_quantize import scale_attention
from calibration.quantization import accuracy_gate as gate_module
from calibration.quantization import quantize as quantize_module
from calibration.quantization.accuracy_gate import fastest_first
from calibration.quantization.options import AccuracyGate, QuantizationOptions
from calibration.quantization.page import quantization_page
from calibration.quantization.quantize import few_samples, quantize, speed_note
from calibration.quantization.recipes import DEFAULT, NNCF_DEFAULT
from calibration.quantization.report import Trial
from calibration.statistics.bootstrap import Drop
from converters.conversion import convert
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import CalibrationError, InputError
from edge_qa.system.cpu import CPU
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.command import Command
from tests.support.small_data import answers_of, write_questions

VERDICT, USAGE, INPUT, INTERRUPTED = 1, 2, 4, 130


@dataclass(frozen=True)
class Bench:
    """Two bundles that compute the same, one of them badly scaled, and questions with the plain one's answers."""

    plain: Path
    scaled: Path
    calibration: Path
    evaluation: Path

    def arguments(self, out: Path) -> list[object]:
        files = ["--calibration", self.calibration, "--evaluation", self.evaluation]
        return ["quantize", self.plain, out, *files, "--samples", 8, "--limit", 30]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    folder = tmp_path_factory.mktemp("gate")
    plain = bert_tensors(positions=256)
    bundles = []
    for name, tensors in (("plain", plain), ("scaled", scale_attention(plain, decades=3))):
        checkpoint = write_checkpoint(folder / f"{name}-c", tensors=tensors, config=bert_config(positions=256))
        bundles.append(convert(checkpoint, folder / name).path)
    answer = answers_of(bundles[0])
    return Bench(
        *bundles,
        write_questions(folder / "calibration.jsonl", answer=answer, every=2),
        write_questions(folder / "evaluation.jsonl", answer=answer, every=2, first=1),
    )


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A destination in a folder of its own, so that leftovers show."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "bundle"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def only_default(monkeypatch) -> None:
    """Nothing else is tried: a whole search takes minutes."""
    monkeypatch.setattr(gate_module, "stages", lambda known: iter([(DEFAULT,)]))


def test_a_gate_that_is_met(command, bench, out, temporary, tmp_path):
    page = tmp_path / "page.html"
    result = command(*bench.arguments(out), "--max-drop", 60, "--json", "--html", page)
    assert result.code == 0, result.err
    gate = result.json["gate"]
    assert gate["drop"]["low"] <= gate["drop"]["points"] <= gate["drop"]["high"]
    assert gate["drop"]["questions"] == 30
    before, after = (result.json[side]["scores"]["f1"] for side in ("before", "after"))
    assert gate["drop"]["points"] == pytest.approx(before - after)
    assert [trial["verdict"] for trial in gate["trials"]] == ["passed"]
    assert gate["notes"] == []
    assert len(result.json["products"]) == 14

    options = Bundle.load(out).manifest.lineage[-1].options
    assert (options["recipe"], options["max_drop"], options["metric"]) == ("default", "60", "f1")
    assert list(temporary.iterdir()) == []
    assert list(out.parent.iterdir()) == [out]

    text = page.read_text()
    tree = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert not [node for node in tree.iter() if {"src", "href"} & set(node.keys()) or node.tag in ("script", "link")]
    assert "url(" not in text
    for shown in ("layer.0.ffn.0.down", "Recipes tried", "passed", "95 % interval", f"{after:.2f}"):
        assert shown in text


@pytest.mark.slow
def test_a_gate_on_the_questions_that_chose_the_recipe_says_so(command, bench, out, tmp_path, only_default):
    files = {"calibration": bench.calibration, "evaluation": bench.calibration, "max_drop": 60, "samples": 4}
    said = "judged on the questions that chose the recipe: the drop is optimistic"
    result = quantize(
        bench.plain,
        tmp_path / "api",
        calibration=bench.calibration,
        evaluation=bench.calibration,
        options=QuantizationOptions(samples=4),
        gate=AccuracyGate(60),
        limit=20,
    )
    assert result.as_json()["gate"]["notes"] == (said,)
    assert f"<p>Note: {said}.</p>" in quantization_page(result).decode()
    options = [word for name, value in files.items() for word in (f"--{name.replace('_', '-')}", value)]
    shown = command("quantize", bench.plain, out, *options, "--limit", 20)
    assert shown.out.endswith(f"\nnote: {said}\n")


@pytest.mark.slow
def test_a_gate_that_a_handful_of_questions_passed_says_what_that_is_worth(bench, out, only_default):
    """The same model, asked 12 questions, cannot lose any: nothing changed, which is not to say that nothing does."""
    files = {"calibration": bench.calibration, "evaluation": bench.evaluation}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize_module.Workshop, "bundle", lambda workshop, candidate, path: workshop.source)
        patch.setattr(quantize_module, "_write", lambda workshop, candidate, result, *rest: result)
        result = quantize(
            bench.plain, out, options=QuantizationOptions(samples=2), gate=AccuracyGate(0), limit=12, **files
        )
    # 1 - 0.025 ** (1 / 12) of them may change.
    notes = (
        "none of the 12 questions was scored differently, too few to draw from: the interval is an exact binomial "
        "bound",
        "the 95 % interval of the drop, -26.46 to 26.46, is wider than the 0 points allowed: give more questions",
    )
    assert result.as_json()["gate"]["notes"] == notes
    assert result.as_json()["gate"]["conclusive"] is False
    assert result.as_json()["gate"]["drop"]["exact"] is True
    text = quantization_page(result).decode()
    for note in (*notes, *result.notes):
        assert f"<p>Note: {note}.</p>" in text
    assert "<p>F1 did not change (95 % interval -26.46 to 26.46), a drop of 0 was allowed (12 questions, exact" in text


@pytest.mark.slow
def test_a_calibration_on_two_samples_says_so(command, bench, out):
    result = command("quantize", bench.plain, out, "--calibration", bench.calibration, "--samples", 2)
    assert result.code == 0
    assert "note: calibrated on 2 questions of calibration.jsonl: " in result.err
    assert few_samples(10, "") is None


@pytest.mark.slow
def test_a_gain_is_not_shown_as_a_negative_drop(command, bench, out, monkeypatch, only_default):
    monkeypatch.setattr(gate_module, "score_drop", lambda *arguments: Drop(-1.81, -4.0, 0.25, 40, 9))
    shown = command(*bench.arguments(out), "--max-drop", 1).out
    assert "\nF1 rose by 1.81 (95 % interval -0.25 to 4.00), a drop of 1 allowed; recipe default, 1 tried\n" in shown


@pytest.mark.slow
def test_the_float_model_takes_turns_with_every_candidate(bench, out, monkeypatch):
    """Timed once and compared later, it was measured on another machine than the candidate, or on a busier one."""
    turns = []

    def evaluate(pairs, data, **options):
        turns.append([name for name, _ in pairs])
        return real(pairs, data, **options)

    real = gate_module.evaluate
    monkeypatch.setattr(gate_module, "evaluate", evaluate)
    monkeypatch.setattr(gate_module, "stages", lambda known: iter([(DEFAULT,), (NNCF_DEFAULT,)]))
    monkeypatch.setattr(gate_module, "score_drop", lambda *arguments: Drop(5.0, 0.0, 10.0, 20, 9))
    files = {"calibration": bench.calibration, "evaluation": bench.evaluation}
    with pytest.raises(CalibrationError, match="none of 2 recipes"):
        quantize(bench.plain, out, options=QuantizationOptions(samples=2), gate=AccuracyGate(1), limit=4, **files)
    judged = [str(bench.plain), str(out)]
    assert turns == [["float", "0"], judged, ["float", "1"], judged]


@pytest.mark.slow
def test_a_busy_machine_stands_on_the_page(bench, out):
    files = {"calibration": bench.calibration, "evaluation": bench.evaluation}
    result = quantize(bench.plain, out, options=QuantizationOptions(samples=2), limit=8, **files)
    for disturbed in (True, False):
        marked = replace(result, after=replace(result.after, disturbed=disturbed))
        text = quantization_page(marked).decode()
        assert ("Warning: the machine was busy with something else" in text) == disturbed
        assert f'<td class="r">{result.after.speed}</td>' in text
        assert marked.as_json()["after"]["disturbed"] is disturbed
    assert set(result.as_json()["after"]["speed"]) == {"ratio", "low", "high"}


def test_a_gate_that_is_not_met(command, bench, out, temporary, tmp_path, only_default):
    page = tmp_path / "page.html"
    result = command(*bench.arguments(out), "--max-drop", 0.0, "--html", page)
    assert result.code == VERDICT
    (line,) = result.err.strip().splitlines()
    for part in ("keeps the drop of F1 within 0 on evaluation.jsonl", "default, lost", "95 % interval", "nothing was"):
        assert part in line
    assert list(out.parent.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert not page.exists()


@pytest.mark.slow
def test_the_gate_judges_the_metric_asked_for(command, bench, out, only_default):
    result = command(*bench.arguments(out), "--max-drop", 60, "--metric", "em", "--json")
    assert result.json["gate"]["metric"] == "exact_match"
    before, after = (result.json[side]["scores"]["exact_match"] for side in ("before", "after"))
    assert result.json["gate"]["drop"]["points"] == pytest.approx(before - after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-drop", "0.5"], "--max-drop is judged on --evaluation FILE, which is not given"),
        (["--metric", "em"], "--metric says what --max-drop is about, which is not given"),
        (["--evaluation", "x", "--max-drop", "nan"], "got nan, wanted percent points, 0 or more"),
        (["--evaluation", "x", "--max-drop", "-1"], "got -1.0, wanted percent points, 0 or more"),
        (["--evaluation", "x", "--max-drop", "inf"], "got inf, wanted percent points, 0 or more"),
    ],
)
def test_wrong_usage(command, bench, out, options, message):
    result = command("quantize", bench.plain, out, "--calibration", bench.calibration, *options)
    assert result.code == USAGE
    assert message in result.err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("points", [-0.1, float("nan"), float("inf")])
def test_a_senseless_limit_is_refused(points):
    with pytest.raises(InputError, match="wanted percent points"):
        AccuracyGate(points)


def test_an_evaluation_file_without_answers_is_refused_at_once(command, bench, out, tmp_path):
    bare = write_questions(tmp_path / "bare.jsonl")
    result = command("quantize", bench.plain, out, "--calibration", bench.calibration, "--evaluation", bare)
    assert result.code == INPUT
    assert "bare.jsonl: question '1' has no answer to score by" in result.err


@pytest.mark.slow
def test_the_same_gate_gives_the_same_bytes(bench, tmp_path):
    files = {"calibration": bench.calibration, "evaluation": bench.evaluation}
    given = {"options": QuantizationOptions(samples=4), "gate": AccuracyGate(60)}
    digests = [quantize(bench.plain, tmp_path / name, limit=20, **files, **given).manifest.digest for name in "ab"]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_badly_scaled_model_passes_although_nncf_alone_fails(bench, tmp_path):
    files = {"calibration": bench.calibration, "evaluation": bench.evaluation}
    options = QuantizationOptions(samples=20)
    alone = quantize(bench.scaled, tmp_path / "alone", options=replace(options, recipe=NNCF_DEFAULT), **files)
    assert alone.before is not None
    assert alone.after is not None
    limit = 20
    assert alone.before.scores.f1 - alone.after.scores.f1 > 2 * limit
    result = quantize(bench.scaled, tmp_path / "tool", options=options, gate=AccuracyGate(limit), **files)
    assert result.gate is not None
    assert result.gate.drop.points <= limit


@pytest.mark.slow
def test_without_answers_recipes_are_ranked_against_the_float_model(bench, tmp_path):
    text = "\n\n".join(
        f"{row['context']}\nQ: {row['question']}"
        for row in map(json.loads, write_questions(tmp_path / "bare.jsonl", every=3).read_text().splitlines())
    )
    (tmp_path / "texts.txt").write_text(text)
    result = quantize(
        bench.plain,
        tmp_path / "int8",
        calibration=tmp_path / "texts.txt",
        evaluation=bench.evaluation,
        options=QuantizationOptions(samples=4),
        gate=AccuracyGate(max_drop=60),
        limit=10,
    )
    assert result.gate is not None
    assert not result.gate.labelled
    assert result.gate.ranking_questions == 40 // 3


@pytest.mark.slow
def test_what_ranking_rules_out_is_judged_where_nothing_else_is_left(bench, tmp_path, monkeypatch, only_default):
    monkeypatch.setattr(gate_module, "_WRECKED", -200.0)
    result = quantize(
        bench.plain,
        tmp_path / "int8",
        calibration=write_questions(tmp_path / "bare.jsonl", every=3),
        evaluation=bench.evaluation,
        options=QuantizationOptions(samples=2),
        gate=AccuracyGate(max_drop=60),
        limit=10,
    )
    assert result.gate is not None
    assert [trial.verdict for trial in result.gate.trials] == ["passed"]


def test_only_what_is_clearly_faster_goes_first():
    times = (20.0, 19.8, 15.0, 15.2, None, 10.0)
    trials = [Trial(DEFAULT, 0.1, latency_ms=time) for time in times]
    trials[5] = replace(trials[5], verdict="ruled out")
    # 19.8 is no faster than 20 can be by chance, and neither is 15 than 15.2.
    assert fastest_first(trials, [0, 1, 2, 3, 5]) == [2, 3, 0, 1]
    assert fastest_first(trials, [1, 3]) == [3, 1]
    assert fastest_first(trials, [3, 2]) == [3, 2]


def test_the_page_and_the_bundle_need_two_names(command, bench, out):
    result = command("quantize", bench.plain, out, "--calibration", bench.calibration, "--html", out)
    assert (result.code, "is what is written, too" in result.err) == (4, True)


def test_too_few_questions_to_rank(bench, tmp_path):
    few = write_questions(tmp_path / "few.jsonl", every=60)
    with pytest.raises(InputError, match="too few to calibrate and to rank"):
        quantize(
            bench.plain, tmp_path / "o", calibration=few, evaluation=bench.evaluation, gate=AccuracyGate(max_drop=1)
        )


@pytest.mark.slow
def test_logits_that_are_not_finite_never_pass(bench, tmp_path, monkeypatch, only_default):
    monkeypatch.setattr(gate_module, "relative_error", lambda got, wanted: float("inf"))
    with pytest.raises(CalibrationError, match="none of 1 recipes gives finite logits"):
        quantize(
            bench.plain,
            tmp_path / "o",
            calibration=bench.calibration,
            evaluation=bench.evaluation,
            options=QuantizationOptions(samples=2),
            gate=AccuracyGate(max_drop=60),
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_search_leaves_nothing(bench, out, tmp_path, number):
    """At once where the process can do it, after a kill with the next one."""
    (temporary := tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "edge_qa", *map(str, bench.arguments(out)), "--max-drop", "0"]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        deadline = time.monotonic() + 60
        # A candidate was written: the search is in its middle.
        while not list(out.parent.glob(".bundle.*.tmp/*/model.bin")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == INTERRUPTED
        assert "nothing was left half-written" in err
    else:
        assert len(list(out.parent.iterdir())) == 1
        quantize(bench.plain, out, calibration=bench.calibration, options=QuantizationOptions(samples=2))
    assert list(out.parent.iterdir()) == ([] if number == signal.SIGINT else [out])
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_target_without_a_gain_in_speed_says_so(command, bench, out):
    files = ["--calibration", bench.calibration, "--samples", 10]
    result = command("quantize", bench.plain, out, *files, "--target", "avx2", "--json")
    assert result.code == 0
    (line,) = result.err.strip().splitlines()
    assert line.startswith("note: target avx2: INT8 gains no speed without VNNI")
    assert result.json["notes"] == [line.removeprefix("note: ")]


@pytest.mark.parametrize(
    ("target", "instruction_set", "says"),
    [
        ("any", "avx2", True),
        ("any", "sse", True),
        ("any", "avx2_vnni", False),
        ("any", "amx", False),
        ("avx2", "amx", True),
        ("vnni", "avx512_vnni", False),
    ],
)
def test_what_is_said_of_speed_depends_on_the_target(monkeypatch, target, instruction_set, says):
    monkeypatch.setattr(quantize_module, "this_cpu", lambda: CPU("some", instruction_set, 1))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert (speed_note(target) is not None) == says


def test_nothing_is_said_of_processors_nobody_measured(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert speed_note("any") is None
