"""Every example runs, and the README's Python answers as it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_ask(int8_bundle):
    assert run("ask.py", int8_bundle).startswith("Ada Lovelace 0.")


def test_ask_the_small_one():
    lines = run("ask_the_small_one.py").splitlines()
    answers = [line.split("  (")[0].strip() for line in lines[4::2]]
    assert answers == ["1871", "Marta Lind", "the harbour museum"]


def test_ask_a_data_set(int8_bundle, tmp_path):
    (tmp_path / "data.jsonl").write_text(
        '{"question": "Who wrote it?", "context": "Ada Lovelace wrote it.", "answers": ["Ada Lovelace"]}\n'
        '{"question": "When?", "context": "It was written in 1843.", "answers": ["1844"]}\n'
    )
    assert (
        run("ask_a_data_set.py", int8_bundle, tmp_path / "data.jsonl") == "2 questions: exact match 50.00, F1 50.00\n"
    )


@pytest.mark.slow
def test_convert_and_quantize(checkpoint, questions, tmp_path):
    printed = run("convert_and_quantize.py", checkpoint, questions, tmp_path)
    assert "int8, calibrated on 24 questions" in printed
    assert (tmp_path / "int8" / "bundle.json").is_file()


def test_every_example_has_a_test():
    here = Path(__file__).read_text()
    assert all(f'"{path.name}"' in here for path in (ROOT / "examples").glob("*.py"))


def test_the_python_of_the_readme(int8_bundle):
    readme = (ROOT / "README.md").read_text()
    code, printed = re.search(
        r"```python\n(from edge_qa import QuestionAnswerer\n.*?)```\n\n```text\n(.*?)```", readme, re.S
    ).groups()
    done = subprocess.run(
        [sys.executable, "-c", code.replace("demo/int8", str(int8_bundle))], capture_output=True, text=True, check=True
    )
    # The score depends a little on the calibration; the rest must be what the README shows.
    assert re.sub(r"score=[\d.]+", "", done.stdout) == re.sub(r"score=[\d.]+", "", printed)
