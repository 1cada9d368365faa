"""edge-qa batch --on ray, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.network import free_port

pytest.importorskip("ray", reason="the extra ray is not installed")

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "in.jsonl"
    path.parent.mkdir()
    path.write_text('{"question": "When?", "context": "In 1900."}\nnot json\n{"question": "Who?", "context": "Ada."}\n')
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_qa", "batch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)


def test_parts_of_a_folder_and_the_exit_code_of_a_bad_line(lines, tmp_path):
    out = tmp_path / "out"
    done = run(BUNDLE, lines.parent, "--on", "ray", "--workers", 1, "--output", out)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines() == [
        f"{out}: 3 lines, 1 parts",
        f"error: {lines.parent}: 1 line could not be used; its line in the output says why",
    ]
    found = [json.loads(line) for line in (out / "part-00000.jsonl").read_text().splitlines()]
    assert [row["id"] for row in found] == [1, 2, 3]
    assert found[0]["answers"][0]["text"] == "1900"
    manifest = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert manifest[-1] == {"complete": True, "parts": 1, "lines": 3, "failed": 1}
    assert run(BUNDLE, lines.parent, "--on", "ray", "--output", out).returncode == 4  # it is there


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--workers", "2"], 2, "--address, --workers and --part-lines are for --on ray"),
        (["--on", "ray"], 2, "--on ray needs a file or a folder to read, and a folder as --output"),
        (["--on", "ray", "--output", "OUT", "--workers", "999"], 6, "999 workers of 1 thread need 999 CPUs"),
        (["--on", "ray", "--output", "OUT", "--address", "ADDRESS"], 6, "nobody answers there"),
        (["--on", "ray", "--output", "IN/out"], 4, "is inside what is read"),
    ],
)
def test_what_cannot_be_is_one_line(lines, tmp_path, options, code, said):
    names = {"OUT": tmp_path / "out", "IN/out": lines.parent / "out", "ADDRESS": f"127.0.0.1:{free_port()}"}
    done = run(BUNDLE, lines.parent, *(names.get(option, option) for option in options))
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
