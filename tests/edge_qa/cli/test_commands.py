"""What the commands print."""

import json
import os
import subprocess
import sys

import pytest

from converters.conversion import convert
from edge_qa.cli.app import COMMANDS
from edge_qa.errors import InputError

TEXT = "The Analytical Engine was described by Ada Lovelace in 1843. Charles Babbage never built it."


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(command, name):
    result = command(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: edge-qa {name}")


def test_help_lists_every_command(command):
    result = command("--help")
    assert result.code == 0
    assert all((f"  {name} " in result.out) != entry.hidden for name, entry in COMMANDS.items())


def test_ask_prints_the_answer_in_its_surroundings(command, int8_bundle):
    result = command("ask", int8_bundle, "Who described it?", "--text", TEXT)
    assert result.code == 0
    assert result.out.startswith("Ada Lovelace  ")
    assert "characters 39-51" in result.out
    assert "[Ada Lovelace]" in result.out
    assert result.err == ""


def test_ask_several_questions_of_a_file_as_json(command, int8_bundle, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    result = command(
        "ask", int8_bundle, "Who described it?", "When?", "--context", tmp_path / "text.txt", "--top-k", 2, "--json"
    )
    assert [row["question"] for row in result.json] == ["Who described it?", "When?"]
    assert [row["answers"][0]["text"] for row in result.json] == ["Ada Lovelace", "1843"]
    assert all(len(row["answers"]) == 2 for row in result.json)
    answer = result.json[0]["answers"][0]
    assert TEXT[answer["start"] : answer["end"]] == "Ada Lovelace"


def test_ask_reads_standard_input(int8_bundle):
    done = subprocess.run(
        [sys.executable, "-m", "edge_qa", "ask", int8_bundle, "When?", "--context", "-"],
        input=TEXT.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"1843")


def test_a_bundle_may_refuse_by_its_own_threshold(command, checkpoint, tmp_path):
    bundle = tmp_path / "bundle"
    assert command("convert", checkpoint, bundle, "--no-answer-threshold", -1000).code == 0
    assert command("ask", bundle, "Who?", "--text", TEXT, "--json").json[0]["answers"][0]["text"] == ""
    refused = command("convert", checkpoint, tmp_path / "other", "--no-answer-threshold", "nan")
    assert refused.code == 2
    with pytest.raises(InputError, match="no_answer_threshold: got inf"):
        convert(checkpoint, tmp_path / "other", no_answer_threshold=float("inf"))


def test_the_demo_replaces_nothing_unasked(command, tmp_path):
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "mine.txt").write_text("mine")
    shown = command("demo", "--folder", tmp_path)
    assert (shown.code, "already exists" in shown.err) == (4, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8"]


def test_ask_says_when_there_is_no_answer(command, int8_bundle):
    result = command("ask", int8_bundle, "Who?", "--text", TEXT, "--no-answer-threshold", -1000)
    assert result.out.startswith("(no answer)")


def test_inspect_shows_what_the_bundle_holds(command, int8_bundle):
    result = command("inspect", int8_bundle)
    assert result.code == 0
    for fact in (
        "bert",
        "12 each",
        "1536 each",
        "22.57 M",
        "9.51 GOps",
        "int8, for CPUs: any",
        "quantize",
        "apache-2.0",
    ):
        assert fact in result.out


def test_inspect_as_json_is_the_manifest(command, int8_bundle):
    assert command("inspect", int8_bundle, "--json").json == json.loads((int8_bundle / "bundle.json").read_text())


@pytest.mark.slow
def test_evaluate_compares_bundles(command, fp16_bundle, int8_bundle, questions, tmp_path):
    predictions = tmp_path / "predictions.json"
    result = command(
        "evaluate", fp16_bundle, int8_bundle, "--data", questions, "--limit", 20, "--predictions", predictions, "--json"
    )
    first, second = result.json
    assert first["scores"]["questions"] == second["scores"]["questions"] == 20
    assert first["scores"]["has_answer_f1"] > 50
    assert first["latency"]["p50_ms"] > 0
    assert 0 < first["outside_inference"] < 0.5
    assert len(json.loads(predictions.read_text())) == 20
    human = command("evaluate", int8_bundle, "--data", questions, "--limit", 3)
    assert "3 questions, SQuAD v2.0 metric" in human.out


def test_evaluate_agrees_with_answer(command, int8_bundle, questions, tmp_path):
    from edge_qa import QuestionAnswerer
    from edge_qa.evaluation.dataset import read_dataset

    predictions = tmp_path / "predictions.json"
    command("evaluate", int8_bundle, "--data", questions, "--predictions", predictions, "--limit", 10)
    answerer = QuestionAnswerer.load(int8_bundle)
    examples = {example.id: example for example in read_dataset(questions)}
    for key, text in json.loads(predictions.read_text()).items():
        assert answerer.answer(examples[key].question, examples[key].context).text == text


@pytest.mark.slow
def test_convert_and_quantize_as_json(command, checkpoint, questions, tmp_path):
    made = command("convert", checkpoint, tmp_path / "fp16", "--json").json
    assert made["verification"]["difference"] <= 1e-4
    result = command(
        "quantize",
        tmp_path / "fp16",
        tmp_path / "int8",
        "--calibration",
        questions,
        "--evaluation",
        questions,
        "--samples",
        4,
        "--limit",
        5,
        "--json",
    )
    assert result.json["samples"] == 4
    assert result.json["before"]["scores"]["questions"] == 5
    manifest = result.json["manifest"]
    assert manifest["scores"][0]["f1"] == result.json["after"]["scores"]["f1"]
    assert manifest == json.loads((tmp_path / "int8" / "bundle.json").read_text())


def test_version(command):
    assert command("--version").out.startswith("edge-qa, version 0.1.0")


def test_a_closed_pipe_is_silent(int8_bundle):
    code = (
        "import sys; sys.argv = ['edge-qa', 'inspect', sys.argv[1]]\n"
        "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
        "sys.stdout = os.fdopen(1, 'w')\n"
        "from edge_qa.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, int8_bundle], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell):
    environment = os.environ | {"_EDGE_QA_COMPLETE": f"{shell}_source"}
    script = subprocess.run(
        [sys.executable, "-m", "edge_qa"], env=environment, capture_output=True, text=True, check=False
    )
    assert "edge-qa" in script.stdout
    environment = os.environ | {"_EDGE_QA_COMPLETE": "bash_complete", "COMP_WORDS": "edge-qa as", "COMP_CWORD": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "edge_qa"], env=environment, capture_output=True, text=True, check=False
    )
    assert "ask" in found.stdout
