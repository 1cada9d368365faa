"""edge-qa batch."""

import errno
import gzip
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.layouts import LAYOUTS, write
from tests.support.tiny import tiny_bundle

ROWS = [
    {"id": "a", "question": "Who wrote it?", "context": "Ada Lovelace wrote it in 1843."},
    {"question": "When?", "context": "Ada Lovelace wrote it in 1843."},
    {"id": 7, "question": "Where?", "context": "It was printed in London."},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def run(bundle: Path, *arguments: object, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_qa", "batch", str(bundle), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_a_line_out_for_every_line_in(int8_bundle, source):
    done = run(int8_bundle, "-", text=source.read_text())
    assert (done.returncode, done.stderr) == (0, "")
    found = lines(done.stdout)
    assert [row["id"] for row in found] == ["a", 2, 7]
    assert [row["answers"][0]["text"] for row in found] == ["Ada Lovelace", "1843", "London"]


def test_every_layout_that_evaluate_reads_is_answered(int8_bundle, tmp_path):
    for layout, name in (("SQuAD, integer ids", "squad.json"), ("lines, a blank one", "lines.jsonl")):
        path = write(tmp_path, LAYOUTS[layout], name)
        found = lines(run(int8_bundle, path).stdout)
        assert [row["answers"][0]["text"] for row in found] == ["9:30", "12 euros"]
        assert [str(row["id"]) for row in found] == ["0", "1"]


def test_a_file_that_is_no_text_is_named_once(int8_bundle, tmp_path):
    for content in (b"%PDF-1.7\n", "{}".encode("utf-16")):
        path = write(tmp_path, content)
        done = run(int8_bundle, path)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.startswith(f"error: {path}: is ")
        assert done.stderr.count("\n") == 1


def test_bad_lines_do_not_stop_the_rest(int8_bundle, source, tmp_path):
    good = source.read_text().splitlines()
    bad = ["not json", "[]", '{"question": 1, "context": "x"}', '{"id": "e", "question": " ", "context": "x"}']
    source.write_text("\n".join([good[0], *bad, good[2]]) + "\n")
    done = run(int8_bundle, source, "--output", tmp_path / "out.jsonl")
    assert done.returncode == 4
    assert done.stderr.strip() == f"error: {source}: 4 lines could not be used; their lines in the output say why"
    found = lines((tmp_path / "out.jsonl").read_text())
    assert [row["id"] for row in found] == ["a", 2, 3, 4, "e", 7]
    assert ["error" in row for row in found] == [False, True, True, True, True, False]
    assert "line 2: not JSON" in found[1]["error"]
    assert "wanted an object" in found[2]["error"]
    assert "line 4: 'question' is a number, wanted text" in found[3]["error"]
    assert "question is empty" in found[4]["error"]
    assert found[5]["answers"][0]["text"] == "London"


def test_resume_goes_on_where_it_stopped(int8_bundle, source, tmp_path):
    whole = tmp_path / "whole.jsonl"
    assert run(int8_bundle, source, "--output", whole).returncode == 0
    cut = tmp_path / "cut.jsonl"
    content = whole.read_bytes()
    first = content.index(b"\n") + 1
    cut.write_bytes(content[: first + 20])  # one line and a piece of the next
    assert run(int8_bundle, source, "--output", cut, "--resume").returncode == 0
    assert cut.read_bytes() == content
    assert run(int8_bundle, source, "--output", cut, "--resume").returncode == 0
    assert cut.read_bytes() == content
    assert run(int8_bundle, source, "--output", tmp_path / "new.jsonl", "--resume").returncode == 0


@pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"id": "z", "answers": []}\n', '{"question": "?"}\n'])
def test_resume_leaves_a_foreign_file_alone(int8_bundle, source, tmp_path, content):
    (tmp_path / "mine.txt").write_text(content)
    done = run(int8_bundle, source, "--output", tmp_path / "mine.txt", "--resume")
    assert done.returncode == 4
    assert (tmp_path / "mine.txt").read_text() == content


def test_an_existing_output_is_kept(int8_bundle, source, tmp_path):
    before = source.read_text()
    for more in ([], ["--force"], ["--resume"]):
        done = run(int8_bundle, source, "--output", source, *more)
        assert (done.returncode, source.read_text()) == (4, before)
    (tmp_path / "old.jsonl").write_text("old")
    assert run(int8_bundle, source, "--output", tmp_path / "old.jsonl").returncode == 4
    assert (tmp_path / "old.jsonl").read_text() == "old"
    assert run(int8_bundle, source, "--output", tmp_path / "old.jsonl", "--force").returncode == 0


@pytest.mark.parametrize("identity", ["NaN", '"\\ud800"', "[1]", "true", "null"])
def test_an_id_that_cannot_be_written_back(int8_bundle, source, identity):
    line = f'{{"id": {identity}, "question": "Who wrote it?", "context": "Ada wrote it."}}'
    done = run(int8_bundle, "-", text=line + "\n" + source.read_text())
    assert done.returncode == 4
    found = lines(done.stdout)
    assert "line 1: 'id' is " in found[0]["error"]
    assert ", wanted text or a whole number" in found[0]["error"]
    assert [row["id"] for row in found[1:]] == ["a", 3, 7]


def test_lines_with_errors_are_told_again_after_resuming(command, int8_bundle, source, tmp_path):
    (tmp_path / "bad.jsonl").write_text("no JSON\n" + source.read_text())
    call = ("batch", int8_bundle, tmp_path / "bad.jsonl", "--output", tmp_path / "out.jsonl")
    assert command(*call).code == 4
    resumed = command(*call, "--resume")
    assert (resumed.code, "1 line could not be used" in resumed.err) == (4, True)


def test_resuming_with_a_shorter_input_is_refused(int8_bundle, source, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run(int8_bundle, source, "--output", out).returncode == 0
    before = out.read_bytes()
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:2]))
    done = run(int8_bundle, source, "--output", out, "--resume")
    assert (done.returncode, "answers 3 lines, and" in done.stderr) == (4, True)
    assert out.read_bytes() == before


def test_what_standard_input_reads_is_not_emptied(int8_bundle, source):
    before = source.read_text()
    command = [sys.executable, "-m", "edge_qa", "batch", str(int8_bundle), "-", "--output", str(source), "--force"]
    with source.open() as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert (done.returncode, source.read_text()) == (4, before)
    assert "is what standard input reads" in done.stderr


@pytest.mark.parametrize("command", ["batch", "inspect", "inspect --json"])
def test_a_full_disk_is_one_line(int8_bundle, source, command):
    name, *options = command.split()
    call = [sys.executable, "-m", "edge_qa", name, str(int8_bundle), *options]
    if name == "batch":
        call.append(str(source))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 6
    assert done.stderr.startswith("error: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_output_on_a_full_disk_keeps_its_whole_lines(int8_bundle, source, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run(int8_bundle, source, "--output", out).returncode == 0
    whole = out.read_bytes()
    first, second, _ = whole.splitlines(keepends=True)
    room = len(first) + len(second) // 2  # a file of no more bytes, as on a disk with no more room

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, "-m", "edge_qa", "batch", str(int8_bundle), str(source), "--output", str(out), "--force"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    remedy = "make room, and --resume goes on after them"
    said = f"error: {out}: cannot be written (File too large), and holds 1 answered line; {remedy}\n"
    assert (done.returncode, done.stderr) == (6, said)
    assert out.read_bytes() == first
    assert run(int8_bundle, source, "--output", out, "--resume").returncode == 0
    assert out.read_bytes() == whole


def test_what_is_refused_leaves_no_empty_output(command, tiny, source, tmp_path):
    output = tmp_path / "out.jsonl"
    assert command("batch", tiny, tmp_path / "none.jsonl", "--output", output).code == 4
    assert not output.exists()
    assert command("batch", tiny, source, "--output", output, "--min-confidence", "0.5").code == 4
    assert not output.exists()
    assert command("batch", tiny, source, "--output", output).code in (0, 4)
    assert output.exists()


def test_a_cache_for_workers_elsewhere_is_refused(command, tiny, source, tmp_path):
    options = ("--on", "ray", "--output", tmp_path / "out", "--cache", tmp_path)
    done = command("batch", tiny, source, *options)
    assert (done.code, "--cache is for --on here" in done.err) == (2, True)


def test_an_error_for_a_reader_that_has_gone(tmp_path):
    code = f"{sys.executable} -m edge_qa inspect {tmp_path}/none --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("3", "0")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_an_interruption_says_how_it_goes_on(int8_bundle, source, tmp_path):
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "edge_qa", "batch", str(int8_bundle), "-", "--output", str(out)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(source.read_text() * 4)
    process.stdin.flush()  # and it waits for more
    while process.poll() is None and not (out.exists() and out.read_bytes()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert told.strip() == f"interrupted; {out} holds the answers until then, and --resume goes on after them"
    assert lines(out.read_text())


def test_resume_needs_an_output(command, int8_bundle):
    assert command("batch", int8_bundle, "-", "--resume").code == 2


def test_files_that_cannot_be_used(command, int8_bundle, source, tmp_path):
    assert command("batch", int8_bundle, tmp_path / "none.jsonl").code == 4
    result = command("batch", int8_bundle, source, "--output", tmp_path / "no" / "out.jsonl")
    assert result.code == 4
    assert "cannot be written" in result.err


def test_several_answers_a_line(int8_bundle, source):
    done = run(int8_bundle, source, "--top-k", 3)
    assert all(len(row["answers"]) == 3 for row in lines(done.stdout))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("torn", [b"\0" * 5000, b'{"id": 2, "ans' + b"\0" * 300, b'{"i' + b"\0", b""])
def test_resume_cuts_off_what_a_power_cut_left(command, tiny, source, tmp_path, torn):
    out = tmp_path / "out.jsonl"
    assert command("batch", tiny, source, "--output", out).code == 0
    content = out.read_bytes()
    for kept in (b"", content[: content.index(b"\n") + 1]):
        out.write_bytes(kept + torn)
        assert command("batch", tiny, source, "--output", out, "--resume").code == 0
        assert out.read_bytes() == content


def test_zeros_inside_of_another_file_are_left_alone(command, tiny, source, tmp_path):
    (out := tmp_path / "other").write_bytes(content := b"\0\0\0\1\n\0\0")
    assert command("batch", tiny, source, "--output", out, "--resume").code == 4
    assert out.read_bytes() == content


def test_the_output_is_synced(command, tiny, source, tmp_path, monkeypatch):
    out, synced = tmp_path / "out.jsonl", []
    sync = os.fsync

    def spied(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spied)
    assert command("batch", tiny, source, "--output", out).code == 0
    assert synced == [tmp_path, out]
    monkeypatch.setattr("edge_qa.cli.batch._SYNC_SECONDS", 0)
    assert command("batch", tiny, source, "--output", out, "--force").code == 0
    assert synced.count(out) == 1 + len(ROWS) + 1


def test_an_output_that_cannot_be_synced_is_told(command, tiny, source, tmp_path, monkeypatch):
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("edge_qa.cli.batch.sync_folder", lambda folder: None)
    monkeypatch.setattr(os, "fsync", failing)
    done = command("batch", tiny, source, "--output", tmp_path / "out.jsonl")
    assert (done.code, "out.jsonl: cannot be written (Input/output error)" in done.err) == (6, True)


@pytest.mark.parametrize("end", ["\n", '\n{"question": '])
def test_who_waits_for_an_answer_before_asking_on_is_not_kept_waiting(int8_bundle, end):
    """Also where the beginning of the next line has come already."""
    command = [sys.executable, "-m", "edge_qa", "batch", str(int8_bundle)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        rest = ""
        for number in range(5):
            asked = json.dumps({"question": "Who wrote it?", "context": "Ada Lovelace wrote it.", "id": number})
            process.stdin.write((asked.removeprefix(rest) + end).encode())
            rest = end[1:]
            ready, _, _ = select.select([process.stdout], [], [], 60)
            assert ready, f"line {number} is not answered"
            assert json.loads(process.stdout.readline())["id"] == number
        process.kill()


def test_an_output_that_is_the_input_by_another_name_is_refused(command, int8_bundle, source, tmp_path):
    other = tmp_path / "other.jsonl"
    os.link(source, other)
    before = source.read_bytes()
    refused = command("batch", int8_bundle, source, "--output", other, "--force")
    assert refused.code == 4
    assert "is what is read" in refused.err
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfea\0", b'{"data": 3}', gzip.compress(b"{}" * 999, mtime=0)[:20]],
    ids=["UTF-16", "no data", "half a gzip"],
)
def test_what_was_there_stays_until_there_is_an_answer(command, int8_bundle, tmp_path, content):
    bad, out = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
    bad.write_bytes(content)
    out.write_text("old")
    assert command("batch", int8_bundle, bad, "--output", out, "--force").code == 4
    assert out.read_text() == "old"
    bad.write_bytes(b"")
    assert command("batch", int8_bundle, bad, "--output", out, "--force").code == 0
    assert out.read_text() == ""


def test_two_runs_do_not_write_one_output(command, int8_bundle, source, tmp_path):
    out = tmp_path / "out.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "edge_qa", "batch", str(int8_bundle), "--output", str(out)], stdin=subprocess.PIPE
    ) as process:
        process.stdin.write(source.read_bytes().splitlines(keepends=True)[0])
        process.stdin.flush()
        while process.poll() is None and not (out.exists() and out.read_bytes()):
            time.sleep(0.01)
        written = out.read_bytes()
        refused = command("batch", int8_bundle, source, "--output", out, "--resume")
        assert refused.code == 4
        assert f"{out}: is being written by another run" in refused.err
        assert out.read_bytes() == written
        process.stdin.close()
    assert command("batch", int8_bundle, source, "--output", out, "--resume").code in (0, 4)
    assert len(out.read_bytes().splitlines()) > 1
