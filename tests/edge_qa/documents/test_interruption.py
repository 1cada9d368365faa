"""Killed at any moment, an index opens and answers, and the next run completes it; two may index at once."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_qa.documents.index import DocumentIndex

ROOT = Path(__file__).resolve().parents[3]
KILLS = 8


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        # A telling word for each file at both ends, so that half a file would be found out.
        (folder / f"{number}.txt").write_text(f"begin{number} " + "some words of it. " * 2000 + f"end{number}")
    return folder


def indexing(folder: Path, library: Path) -> subprocess.Popen:
    code = "import sys; from edge_qa import DocumentIndex; DocumentIndex.build([sys.argv[1]], sys.argv[2])"
    return subprocess.Popen([sys.executable, "-c", code, str(folder), str(library)], cwd=ROOT, stderr=subprocess.PIPE)


def check(library: Path) -> int:
    """How many files are found whole; each file of the index must be."""
    with DocumentIndex.open(library) as index:
        names = [Path(file.path).stem for file in index.files()]
        for name in names:
            found = {word: index.search(word, limit=1)[0] for word in (f"begin{name}", f"end{name}")}
            assert found[f"begin{name}"].start == 0
            assert found[f"end{name}"].end == found[f"end{name}"].file.characters
    connection = sqlite3.connect(library)
    connection.execute("INSERT INTO words(words) VALUES ('integrity-check')")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return len(names)


def test_kills_leave_an_index_that_works(folder, tmp_path):
    library = tmp_path / "library.db"
    chance = random.Random(0)
    for kill in range(KILLS):
        process = indexing(folder, library)
        while process.poll() is None and not library.exists():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.communicate()
        if library.stat().st_size:
            held = check(library)
            if held == 60:
                library.unlink()  # and begin anew
        elif kill:
            library.unlink()
    report = DocumentIndex.build([folder], library).report
    assert report.files == 60
    assert check(library) == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs", "library.db"]


def test_two_processes_index_at_once(folder, tmp_path):
    library = tmp_path / "library.db"
    processes = [indexing(folder, library) for _ in range(2)]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == 0, error.decode()
    assert check(library) == 60
    with DocumentIndex.open(library) as index:
        assert len(index.search("begin7")) == 1
