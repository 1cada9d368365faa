"""--cache of ask and batch: the same answer, sooner."""

import json
import resource
import subprocess
import sys

from tests.support.command import Command
from tests.support.tiny import tiny_bundle

ASK = ("who wrote it ?", "--text", "ada wrote a book in london .", "--threads", 1)


def test_the_same_answer_with_and_without(command: Command, tmp_path, monkeypatch):
    bundle, cache = tiny_bundle(tmp_path), tmp_path / "cache"
    cache.mkdir()
    plain = command("ask", bundle, *ASK)
    assert plain.code == 0
    assert not list(cache.iterdir())
    assert command("ask", bundle, *ASK, "--cache", cache) == plain
    assert len(list(cache.iterdir())) == 1
    (bundle / "model.bin").unlink()
    assert command("ask", bundle, *ASK).code == 3
    assert command("ask", bundle, *ASK, "--cache", cache) == plain
    source = tmp_path / "questions.jsonl"
    source.write_text(json.dumps({"question": ASK[0], "context": ASK[2]}))
    assert command("batch", bundle, source, "--threads", 1).code == 3
    answered = command("batch", bundle, source, "--threads", 1, "--cache", cache)
    assert answered.json["answers"][0]["text"] == plain.out.split("  ")[0]
    monkeypatch.setenv("EDGE_QA_CACHE", str(cache))
    assert command("ask", bundle, *ASK) == plain
    assert command("batch", bundle, source, "--threads", 1) == answered
    assert len(list(cache.iterdir())) == 1


def test_a_folder_that_is_not_there_is_one_line(command: Command, tmp_path):
    result = command("ask", tiny_bundle(tmp_path), *ASK, "--cache", tmp_path / "none")
    assert (result.code, result.out) == (6, "")
    assert result.err == (
        f"error: {tmp_path}/none: does not exist; create the folder for compiled models first, or give none\n"
    )


def test_a_full_disk_costs_a_warning_and_no_answer(command: Command, tmp_path):
    """A limit on the size of files stands for the disk: the write fails after its first bytes."""
    bundle, cache = tiny_bundle(tmp_path), tmp_path / "cache"
    cache.mkdir()
    words = ["ask", bundle, *ASK, "--cache", cache]
    done = subprocess.run(
        [sys.executable, "-m", "edge_qa", *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY)),
    )
    assert done.stdout == command("ask", bundle, *ASK).out
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{cache}/")
    assert line.endswith(": cannot be written (File too large); the compiled model is not kept")
    assert not list(cache.iterdir())
