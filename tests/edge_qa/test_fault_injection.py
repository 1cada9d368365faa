"""A kill, a signal or an input/output error at every system call that replaces a folder (needs strace)."""

import functools
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.strace

_MARK = "getppid"  # nothing else calls it
# Replaces OUT, whose files all hold one word, as a command would; ends like one.
_WRITE = """
import os, sys
from pathlib import Path
import click
from edge_qa.cli import app
from edge_qa.files import new_folder
target, word = Path(sys.argv[1]), sys.argv[2]
@app.cli.command()
def replace():
    os.getppid()
    with new_folder(target, force=True) as draft:
        for name in ("bundle.json", "config.json"):
            (draft / name).write_text(word)
    os.getppid()
app.LazyGroup.get_command = lambda self, context, name: replace
app.LazyGroup.resolve_command = lambda self, context, args: ("replace", replace, [])
app.main(["replace"])
"""
_CHANGES = re.compile(r"mkdir|open|flock|write|fsync|rename|unlink|rmdir")
# The interpreter's own memory and signal handling, which differ from one run to the next.
_UNSTEADY = re.compile(r"mmap|munmap|brk|madvise|mprotect|futex|rt_sig|getrandom|" + _MARK)


def run(out: Path, word: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["strace", "-o", "/dev/stdout", *options, sys.executable, "-c", _WRITE, out, word],
        capture_output=True,
        text=True,
        timeout=60,
    )


@functools.cache
def can_trace() -> bool:
    return (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> list[tuple[str, int]]:
    """Each system call of a replacement: its name, and the how many of that name in the process."""
    if not can_trace():
        pytest.skip("strace is not here, or may not trace")
    # As deep as where the faults are injected: each folder above is looked at.
    out = tmp_path_factory.mktemp("trace") / "once" / "out"
    out.parent.mkdir()
    assert run(out, "old").returncode == 0
    counts: Counter[str] = Counter()
    found, inside = [], False
    for line in run(out, "new").stdout.splitlines():
        name = re.match(r"\w+", line)
        if name is None:
            continue
        counts[name[0]] += 1
        if name[0] == _MARK:
            inside = not inside
        elif inside and not _UNSTEADY.search(name[0]):
            found.append((name[0], counts[name[0]]))
    assert "renameat2" in dict(found)
    return found


def word_of(out: Path) -> str:
    """What the folder holds, which is whole."""
    words = {(out / name).read_text() for name in ("bundle.json", "config.json")}
    assert len(words) == 1
    return words.pop()


def inject(place: Path, call: tuple[str, int], fault: str) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Let one call of a replacement fail; returns what is under the name then, and how the process ended."""
    name, number = call
    out = place / f"{name}-{number}" / "out"
    out.parent.mkdir()
    out.mkdir()
    for file in ("bundle.json", "config.json"):
        (out / file).write_text("old")
    done = run(out, "new", "-e", f"trace={name}", "-e", f"inject={name}:{fault}:when={number}")
    word = word_of(out)
    # The next writer sweeps what is left.
    assert subprocess.run([sys.executable, "-c", _WRITE, out, "next"], capture_output=True).returncode == 0
    assert word_of(out) == "next"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    return word, done


def inject_each(place: Path, calls: list[tuple[str, int]], fault: str):
    with ThreadPoolExecutor(2) as pool:
        return list(zip(calls, pool.map(lambda call: inject(place, call, fault), calls), strict=True))


@pytest.mark.slow
def test_a_kill_leaves_the_old_or_the_new(calls, tmp_path):
    results = inject_each(tmp_path, calls, "signal=KILL")
    assert {done.returncode for _, (_, done) in results} == {-signal.SIGKILL}
    words = [word for _, (word, _) in results]
    # The old up to the exchange, the new ever after.
    assert words == sorted(words, reverse=True), list(zip(calls, words, strict=True))
    assert set(words) == {"old", "new"}


def test_a_signal_that_ends_tells_what_was_written(calls, tmp_path):
    for call, (word, done) in inject_each(tmp_path, [c for c in calls if _CHANGES.match(c[0])], "signal=TERM"):
        assert done.returncode == 128 + signal.SIGTERM, (call, done.stderr)
        told = "was written" in done.stderr
        assert told == (word == "new"), (call, word, done.stderr)
        assert "Traceback" not in done.stderr


def test_an_error_tells_what_was_written(calls, tmp_path):
    for call, (word, done) in inject_each(tmp_path, [c for c in calls if _CHANGES.match(c[0])], "error=EIO"):
        assert "Traceback" not in done.stderr, call
        if done.returncode == 0:
            assert word == "new", call
        else:
            assert done.returncode == 6, (call, done.stderr)
            assert ("out: was written" in done.stderr) == (word == "new"), (call, word, done.stderr)
