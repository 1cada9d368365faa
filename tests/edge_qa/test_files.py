"""A folder is replaced in one step, and what a kill leaves is swept by the next writer of that name."""

import errno
import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_qa import files
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import InputError, ResourceError
from edge_qa.files import check_destination, new_folder, scratch_folder, write_file
from tests.support.tiny import tiny_bundle

LOADS = 1000
_REPLACE = """
import shutil, sys
from pathlib import Path
from edge_qa.files import new_folder
sources, target = sys.argv[1:3], Path(sys.argv[3])
print("begun", flush=True)
while True:
    for source in sources:
        with new_folder(target, force=True) as draft:
            for path in Path(source).iterdir():
                shutil.copy(path, draft)
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    return [tiny_bundle(folder, seed=seed) for seed in (1, 2)]


@pytest.fixture
def held(tmp_path) -> Path:
    (tmp_path / "held").mkdir()
    return tmp_path / "held" / "out"


def write(target: Path, text: str) -> None:
    with new_folder(target, force=True) as draft:
        (draft / "config.json").write_text(text)


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_no_load_fails_while_the_folder_is_replaced(bundles, held):
    write(held, "{}")
    command = [sys.executable, "-c", _REPLACE, *bundles, held]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as replacing:
        try:
            replacing.stdout.readline()
            until = time.monotonic() + 30
            while not (held / "bundle.json").exists():
                assert time.monotonic() < until
            seen = set()
            for number in range(LOADS):
                bundle = Bundle.load(held, model_later=bool(number % 2))
                bundle.read("model.bin")
                seen.add(bundle.manifest.digest)
            assert replacing.poll() is None
        finally:
            replacing.kill()
    assert len(seen) == 2  # it was replaced meanwhile


def test_one_folder_takes_the_place_of_another_in_one_step(held, monkeypatch):
    write(held, "1")
    seen = []
    rename = files._rename

    def spied(source: Path, target: Path, flags: int) -> None:
        rename(source, target, flags)
        seen.append((names(held), (held / "config.json").read_text(), (source / "config.json").read_text()))

    monkeypatch.setattr(files, "_rename", spied)
    write(held, "2")
    ((after, new, old),) = seen
    assert (len(after), new, old) == (2, "2", "1")
    assert names(held) == ["out"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_where_names_cannot_be_exchanged_the_old_one_is_moved_away(held, monkeypatch, number):
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "_rename", refused)
    for text in "12":
        write(held, text)
        assert (held / "config.json").read_text() == text
        assert names(held) == ["out"]


def test_what_a_kill_left_is_swept_by_the_next_writer(held):
    (left := held.with_name(".out.0123abcd.tmp")).mkdir()
    (left / "model.bin").write_text("half")
    held.with_name(".out.0123abcd.old").mkdir()
    (other := held.with_name(".outer.0123abcd.tmp")).mkdir()
    write(held, "1")
    assert names(held) == [".out.0123abcd.old", other.name, "out"]  # while nothing was there, the old one was the last
    write(held, "2")
    assert names(held) == [other.name, "out"]
    left.write_text("half of a file")
    write_file(held.with_name("page.html"), b"whole")
    assert left.exists()
    write(held, "3")
    assert not left.exists()


def test_what_another_process_writes_is_not_swept(held):
    with new_folder(held) as live:
        (live / "config.json").write_text("live")
        write(held, "quick")
        assert (live / "config.json").read_text() == "live"
        held.rename(held.with_name("moved"))
    assert (held / "config.json").read_text() == "live"
    file = held.with_name("page.html")
    draft = held.with_name(".page.html.0123abcd.tmp")
    with draft.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write_file(file, b"whole")
        assert draft.exists()
    write_file(file, b"whole")
    assert not draft.exists()


def test_what_could_not_be_synced_last_was_written(held, monkeypatch):
    synced = files.sync_folder

    def failing(folder: Path) -> None:
        if folder == held.parent:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced(folder)

    monkeypatch.setattr(files, "sync_folder", failing)
    with pytest.raises(ResourceError, match=r"out: was written, but a power cut may undo it \(Input/output error\)"):
        write(held, "1")
    assert names(held) == ["out"]


def test_what_was_not_written_says_so(held, monkeypatch):
    write(held, "1")

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ResourceError, match=r"cannot be written \(Input/output error\); nothing was written"):
        write(held, "2")
    assert (held / "config.json").read_text() == "1"
    assert names(held) == ["out"]


def test_an_error_of_another_file_stays_what_it_is(held):
    with pytest.raises(FileNotFoundError), new_folder(held):
        Path("nowhere").read_bytes()
    assert names(held) == []


def test_an_interruption_after_the_last_rename_says_that_it_was_written(held, monkeypatch):
    rename = files._rename

    def interrupted(*arguments: object) -> None:
        rename(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_rename", interrupted)
    with pytest.raises(KeyboardInterrupt, match="out was written before that"):
        write(held, "1")
    assert (held / "config.json").read_text() == "1"


def test_what_is_needed_for_a_while_lies_beside_the_destination(held):
    with scratch_folder(held) as folder:
        (folder / "model.bin").write_text("half")
        assert names(held) == [folder.name]
        assert re.fullmatch(r"\.out\.[0-9a-f]{8}\.tmp", folder.name)
        write(held, "quick")  # the writer of that name sweeps, and leaves what is in use
        assert (folder / "model.bin").exists()
    assert names(held) == ["out"]
    held.with_name(".out.0123abcd.tmp").mkdir()
    with scratch_folder(held) as folder:
        assert names(held) == [folder.name, "out"]


def test_a_full_disk_is_told_of_the_destination(held):
    with pytest.raises(ResourceError, match="the disk is full"), scratch_folder(held) as folder:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "model.bin"))
    assert names(held) == []


def test_a_bundle_that_was_packed_for_the_native_engine_can_be_replaced(tmp_path):
    for name in ("bundle.json", "model.xml", "model.bin", "model.native", "tokenizer.json", "README.md"):
        (tmp_path / name).touch()
    check_destination(tmp_path, force=True)
    (tmp_path / "letters.txt").touch()
    with pytest.raises(InputError, match=r"letters\.txt"):
        check_destination(tmp_path, force=True)
