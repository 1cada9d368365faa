"""edge-qa ask: where the text comes from, how much of it is read, and what is said about that."""

import json
import subprocess
import sys

from tests.support.places import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
NEEDLE = "The lighthouse was opened by Ada Lovelace."


def run(*arguments, text: str = "", **options):
    command = [sys.executable, "-m", "edge_qa", "ask", str(BUNDLE), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, **options)


def test_the_text_comes_from_standard_input():
    done = run("Who opened the lighthouse?", text=NEEDLE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ada Lovelace  ")
    assert done.stdout == run("Who opened the lighthouse?", "--context", "-", text=NEEDLE).stdout


def test_a_cut_question_is_said():
    # Two questions that differ only behind the cut cannot be told apart, and so get one answer.
    start = "Who " + "very " * 70
    first = run(start + "opened it?", "--text", NEEDLE)
    assert "note: only the first 64 tokens of the question were read; --max-question-len allows more" in first.stderr
    whole = run(start + "opened it?", "--text", NEEDLE, "--max-question-len", 100)
    assert "note:" not in whole.stderr
    answers = [
        json.loads(run(start + "opened it?", "--text", NEEDLE, "--json", *more).stdout)[0]["answers"][0]
        for more in ((), ("--max-question-len", 100))
    ]
    assert [answer["question_truncated"] for answer in answers] == [True, False]


def test_a_partial_answer_says_so():
    text = "Nothing happened on that day. " * 200 + NEEDLE
    done = run("Who opened the lighthouse?", "--max-windows", 1, text=text)
    assert "(part of the text was read)" in done.stdout
    done = run("Who opened the lighthouse?", "--shortlist", 1, text=text)
    assert done.stdout.startswith("Ada Lovelace")
    assert "part of the text" not in done.stdout
    assert "part of the text" in run("Who opened the lighthouse?", "--timeout", 0, text=text).stdout
