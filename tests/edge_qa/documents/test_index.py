"""An index: what an update reads again, what goes, what a search finds, and what is no index."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from edge_qa.documents.folders import ReadingOptions
from edge_qa.documents.index import DocumentIndex
from edge_qa.documents.store import open_to_write, transaction
from edge_qa.errors import InputError, ResourceError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "rent.txt").write_text("The rent is 900 euros.\n\nIt is due on the first of the month.")
    (folder / "sub" / "cats.md").write_text("# Cats\n\nThe cats are running in the garden.\n")
    return folder


@pytest.fixture
def library(tmp_path):
    return tmp_path / "library.db"


def counts(report) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.removed, report.unchanged


def found(index: DocumentIndex, words: str) -> list[str]:
    return [Path(passage.file.path).name for passage in index.search(words)]


def test_an_index_is_built_and_searched(folder, library):
    with DocumentIndex.build([folder], library) as index:
        assert counts(index.report) == (2, 0, 0, 0)
        assert (index.report.files, index.report.passages) == (2, 2)
        (passage,) = index.search("What is the rent?")
        assert passage.text == "The rent is 900 euros.\n\nIt is due on the first of the month."
        assert (passage.start, passage.end, passage.page) == (0, 60, None)
        assert passage.file.path == str(folder.resolve() / "rent.txt")
        assert passage.closeness.bm25 > 0
    assert sorted(path.name for path in library.parent.iterdir()) == ["docs", "library.db"]


def test_words_are_stemmed_and_headings_found(folder, library):
    index = DocumentIndex.build([folder], library)
    assert found(index, "a cat that runs") == ["cats.md"]
    assert index.search("cat")[0].heading == "Cats"


def test_only_what_changed_is_read_again(folder, library):
    index = DocumentIndex.build([folder], library)
    assert counts(index.update([folder])) == (0, 0, 0, 2)
    assert index.report.bytes_read == 0
    (folder / "rent.txt").write_text("The rent is 950 euros.")
    (folder / "new.txt").write_text("New.")
    (folder / "sub" / "cats.md").unlink()
    assert counts(index.update([folder])) == (1, 1, 1, 0)
    assert found(index, "cats") == []
    assert [passage.text for passage in index.search("rent")] == ["The rent is 950 euros."]


def test_a_file_that_was_only_touched_is_unchanged(folder, library):
    index = DocumentIndex.build([folder], library)
    os.utime(folder / "rent.txt", (1, 1))
    assert counts(index.update([folder])) == (0, 0, 0, 2)
    assert index.update([folder]).bytes_read == 0


def test_other_folders_stay(folder, library, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "dogs.txt").write_text("Dogs bark.")
    index = DocumentIndex.build([folder], library)
    assert counts(index.update([other])) == (1, 0, 0, 0)
    assert found(index, "rent dogs") == ["dogs.txt", "rent.txt"]
    with pytest.raises(InputError, match="nowhere: does not exist"):
        index.update([folder, tmp_path / "nowhere"])
    shutil.rmtree(folder / "sub")
    assert counts(index.update([folder, other])) == (0, 0, 1, 2)


def test_what_cannot_be_read_is_reported_and_stops_nothing(folder, library):
    (folder / "latin.txt").write_bytes("Café".encode("latin-1"))
    (folder / "zero.txt").write_bytes(b"a\0b")
    (folder / "large.txt").write_text("x " * 600_000)
    (folder / "pointer.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    index = DocumentIndex.build([folder], library, options=ReadingOptions(max_file_bytes=2**20))
    assert counts(index.report) == (2, 0, 0, 0)
    reasons = {Path(problem.path).name: problem.reason for problem in index.report.problems}
    assert set(reasons) == {"latin.txt", "zero.txt", "large.txt", "pointer.txt"}
    assert reasons["pointer.txt"].startswith("a pointer of Git LFS")
    assert "not UTF-8 at byte 3" in reasons["latin.txt"]
    assert "1 MiB, more than 1" in reasons["large.txt"]
    assert len(index.update([folder]).problems) == 4  # tried again
    index.update([folder], options=ReadingOptions(latin_1=True))
    assert found(index, "café") == ["latin.txt"]
    assert index.update([folder]).problems[1].path.endswith("zero.txt")  # the options are remembered


def test_a_file_that_became_unreadable_is_not_cited(folder, library):
    index = DocumentIndex.build([folder], library)
    (folder / "rent.txt").write_bytes(b"\xff rent")
    assert len(index.update([folder]).problems) == 1
    assert index.search("rent") == []
    assert index.file(folder.resolve() / "rent.txt").problem is not None
    (folder / "rent.txt").write_text("The rent is back.")
    assert counts(index.update([folder])) == (1, 0, 0, 1)
    assert found(index, "rent") == ["rent.txt"]


def test_include_and_exclude(folder, library):
    (folder / "notes.xyz").write_text("rent notes")
    index = DocumentIndex.build([folder], library)
    assert found(index, "notes") == []
    index.update([folder], options=ReadingOptions(include=("*.xyz", "sub/*")))
    assert found(index, "rent notes cats") == ["notes.xyz", "cats.md"]
    index.update([folder], options=ReadingOptions(exclude=("sub",)))
    assert found(index, "rent notes cats") == ["rent.txt"]


def test_hidden_files_pipes_and_the_index_itself_are_left_out(folder):
    (folder / ".secret.txt").write_text("rent")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.txt").write_text("rent")
    os.mkfifo(folder / "pipe.txt")
    (folder / "loop").symlink_to(folder)
    index = DocumentIndex.build([folder], folder / "library.txt")
    assert found(index, "rent") == ["rent.txt"]
    assert counts(index.update([folder])) == (0, 0, 0, 2)


def test_a_name_that_is_not_utf_8(folder, library):
    path = os.fsencode(folder) + b"/\xff.txt"
    Path(os.fsdecode(path)).write_text("A strange name.")
    index = DocumentIndex.build([folder], library)
    assert os.fsencode(index.search("strange")[0].file.path) == os.fsencode(os.path.realpath(folder)) + b"/\xff.txt"


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("東京の天気は晴れです。明日は雨が降るでしょう。", "天気はどうですか"),
        ("北京是中华人民共和国的首都。", "中国的首都是哪里？"),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "เมืองหลวงของไทยคืออะไร"),
    ],
)
def test_text_without_spaces_is_found(tmp_path, text, question):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text(text)
    (folder / "b.txt").write_text("Something else. 別の話。เรื่องอื่น")
    index = DocumentIndex.build([folder], tmp_path / "library.db")
    assert found(index, question)[0] == "a.txt"
    (folder / "a.txt").unlink()
    index.update([folder])
    assert "a.txt" not in found(index, question)


def test_what_is_removed_leaves_nothing_in_the_word_indexes(folder, library):
    (folder / "tokyo.txt").write_text("東京 rent")
    index = DocumentIndex.build([folder], library)
    shutil.rmtree(folder)
    folder.mkdir()
    index.update([folder])
    connection = sqlite3.connect(library)
    for table in ("words", "grams"):
        connection.execute(f"INSERT INTO {table}({table}) VALUES ('integrity-check')")
        connection.execute(f"CREATE VIRTUAL TABLE temp.{table}_v USING fts5vocab(main, {table}, row)")
        assert connection.execute(f"SELECT count(*) FROM {table}_v").fetchone() == (0,)


def test_blank_searches_and_limits_are_refused(folder, library):
    index = DocumentIndex.build([folder], library)
    with pytest.raises(InputError, match="is empty"):
        index.search(" ")
    with pytest.raises(InputError, match="at least 1"):
        index.search("rent", limit=0)
    assert index.search("?!") == []


def test_many_threads_search_at_once(folder, library):
    index = DocumentIndex.build([folder], library)
    wrong = []

    def ask() -> None:
        wrong.extend(1 for _ in range(20) if found(index, "rent") != ["rent.txt"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_searches(folder, library):
    index = DocumentIndex.build([folder], library)
    child = os.fork()
    if not child:
        os._exit(found(index, "rent") != ["rent.txt"])
    assert os.waitpid(child, 0)[1] == 0
    assert found(index, "rent") == ["rent.txt"]


def test_an_open_index_sees_an_update(folder, library):
    DocumentIndex.build([folder], library).close()
    reader = DocumentIndex.open(library)
    assert found(reader, "elephants") == []
    (folder / "new.txt").write_text("Elephants remember.")
    DocumentIndex.build([folder], library)
    assert found(reader, "elephants") == ["new.txt"]


def test_a_search_is_answered_while_another_process_writes(folder, library):
    index = DocumentIndex.build([folder], library)
    writer = open_to_write(library)
    with transaction(writer):
        writer.execute("DELETE FROM settings")
        assert found(index, "rent") == ["rent.txt"]
    writer.close()


def test_a_second_writer_waits_and_then_says_so(folder, library, monkeypatch):
    DocumentIndex.build([folder], library)
    monkeypatch.setattr("edge_qa.documents.store._BUSY_MS", 50)
    (folder / "new.txt").write_text("New.")
    writer = open_to_write(library)
    with transaction(writer), pytest.raises(ResourceError, match="another process is writing it"):
        DocumentIndex.build([folder], library)
    writer.close()
    assert DocumentIndex.build([folder], library).report.added == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"some text", "no index of documents"), (None, "does not exist")],
)
def test_what_is_no_index_is_one_line(tmp_path, content, message):
    path = tmp_path / "library.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        DocumentIndex.open(path)


def test_a_database_of_another_program_is_left_alone(folder, library):
    connection = sqlite3.connect(library)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    for act in (lambda: DocumentIndex.open(library), lambda: DocumentIndex.build([folder], library)):
        with pytest.raises(InputError, match="another program"):
            act()
    assert sqlite3.connect(library).execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_newer_format_is_refused(folder, library):
    DocumentIndex.build([folder], library)
    connection = sqlite3.connect(library)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(InputError, match="has format 2, wanted 1"):
        DocumentIndex.open(library)


def test_a_damaged_index_is_one_line(folder, library):
    DocumentIndex.build([folder], library)
    content = bytearray(library.read_bytes())
    for place in range(4096, len(content), 4096):
        content[place : place + 100] = b"\xaa" * 100
    library.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged .*; delete it and index the folders again"):
        DocumentIndex.open(library).search("rent")
    with pytest.raises(InputError, match="is damaged"):
        DocumentIndex.build([folder], library)


def test_a_cut_off_index_is_one_line(folder, library):
    DocumentIndex.build([folder], library)
    library.write_bytes(library.read_bytes()[:8000])
    with pytest.raises(InputError, match="is damaged"):
        DocumentIndex.open(library).search("rent")


def test_a_read_only_index_is_searched_and_not_updated(folder, library, tmp_path, monkeypatch):
    DocumentIndex.build([folder], library)
    # Root may write everywhere; what counts is what the system says.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    assert found(DocumentIndex.open(library), "rent") == ["rent.txt"]


def test_the_names_of_no_use_for_an_index(folder, tmp_path):
    with pytest.raises(InputError, match="is no file"):
        DocumentIndex.build([folder], folder)
    with pytest.raises(InputError, match="its folder does not exist"):
        DocumentIndex.build([folder], tmp_path / "no" / "library.db")


def test_an_index_that_was_made_anew_is_the_one_that_answers(folder, library, tmp_path):
    with DocumentIndex.build([folder], library) as index:
        assert found(index, "rent") == ["rent.txt"]
        other = tmp_path / "other"
        other.mkdir()
        (other / "dogs.txt").write_text("The dogs pay no rent.")
        DocumentIndex.build([other], tmp_path / "new.db").close()
        (tmp_path / "new.db").replace(library)
        assert found(index, "rent") == ["dogs.txt"]
        library.unlink()
        with pytest.raises(InputError, match="does not exist"):
            index.search("rent")


def test_a_number_beyond_what_sqlite_takes_is_as_good_as_all(folder, library):
    with DocumentIndex.build([folder], library) as index:
        assert len(index.search("rent cats", limit=2**70)) == 2
