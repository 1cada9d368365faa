"""What surrounds a command: closed streams, little memory, signals while modules are imported."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny import tiny_bundle

ASK = ("who flew ?", "--text", "ada flew")
STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


def run(*arguments: object, before=None, code: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    start = f"{code}\nfrom edge_qa.cli import main\nmain()"
    command = [sys.executable, "-c", start, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=before, timeout=120, **options)


def close(*names: str):
    def before() -> None:
        for name in names:
            os.close(STREAMS[name])

    return before


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_closed_standard_output(tiny, more):
    done = run("ask", tiny, *ASK, *more, before=close("stdout"))
    assert done.returncode == 6
    assert "standard output or a file: cannot be read or written (Bad file descriptor)" in one_line(done)


@pytest.mark.parametrize("command", [("ask", *ASK[:1], "--context", "-"), ("batch",)])
def test_a_closed_standard_input(tiny, command):
    done = run(command[0], tiny, *command[1:], before=close("stdin"))
    assert done.returncode == 4
    assert "cannot be read (Bad file descriptor)" in one_line(done)


def test_closed_streams_do_not_become_the_bundle(tiny):
    before = {path.name: path.read_bytes() for path in tiny.iterdir()}
    assert run("ask", tiny / "no", *ASK, before=close("stderr")).returncode == 3
    assert run("ask", tiny, *ASK, before=close("stdin", "stdout", "stderr")).returncode == 6
    assert {path.name: path.read_bytes() for path in tiny.iterdir()} == before


@pytest.mark.parametrize("megabytes", [200, 260, 320, 380])
def test_too_little_memory_is_one_line(tiny, megabytes):
    def before() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 10**6, megabytes * 10**6))

    done = run("ask", tiny, *ASK, before=before)
    assert done.returncode == 6, done.stderr
    assert "out of memory" in one_line(done)


_INTERRUPTED = """
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            signal.raise_signal({number})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("name", ["click", "edge_qa.cli.app", "edge_qa.cli.ask", "edge_qa.answerer", "numpy"])
def test_an_interruption_while_modules_are_imported(tiny, name):
    code = _INTERRUPTED.format(name=name, number=int(signal.SIGINT))
    done = run("ask", tiny, *ASK, code=code)
    assert (done.returncode, done.stdout) == (130, "")
    # Nothing is said before a command has begun.
    begun = name not in ("click", "edge_qa.cli.app")
    assert done.stderr == ("interrupted; nothing was left half-written\n" if begun else "")
