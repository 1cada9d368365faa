"""DocumentIndex: folders of documents in one SQLite file that can be searched, and asked."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from edge_qa.documents.closeness import CLOSE, OPEN, Closeness, Lexicon
from edge_qa.documents.folders import ReadingOptions
from edge_qa.documents.found import FILE_COLUMNS, IndexedFile, Passage, file_of_row
from edge_qa.documents.queries import gram_query, word_query
from edge_qa.documents.store import errors_of, open_to_read
from edge_qa.documents.update import UpdateReport, forget, stored_options, update_index
from edge_qa.errors import InputError
from edge_qa.progress import Progress, no_progress

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer
    from edge_qa.documents.cited_answers import CitedAnswer

Result = TypeVar("Result")

# So many passages are looked at more closely than BM25 does, at least.
_CANDIDATES = 60
# More passages than any index holds; SQLite takes no larger number.
_MOST = 2**31 - 1

# Of the parent of a forked process; SQLite does not allow the child to close them.
_inherited: list[sqlite3.Connection | None] = []


class DocumentIndex:
    """An index that is open for reading. Safe to share between threads, and to use after a fork.

    An update by this or another process is seen by the next search.
    """

    def __init__(self, path: Path, report: UpdateReport | None = None) -> None:
        """Use `open` or `build`. report: of the update that this index was opened after."""
        self.path, self.report = path, report
        self._local = threading.local()
        self._connection()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "DocumentIndex":
        """Open an index to search it. Raises InputError if it is none or is damaged, ResourceError if it cannot be."""
        return cls(Path(path))

    @classmethod
    def build(
        cls,
        folders: Iterable[str | os.PathLike[str]],
        path: str | os.PathLike[str],
        *,
        options: ReadingOptions | None = None,
        progress: Progress = no_progress,
    ) -> "DocumentIndex":
        """Index folders, and return the index; one that is there already is updated. See `update`."""
        report = update_index(Path(path), folders, options, progress)
        return cls(Path(path), report)

    def update(
        self,
        folders: Iterable[str | os.PathLike[str]],
        *,
        options: ReadingOptions | None = None,
        progress: Progress = no_progress,
    ) -> UpdateReport:
        """Read what changed in these folders, and take out what is gone from them; other folders stay as they are.

        options: those of the last update if None. progress: told of the bytes that are read.
        A file is in the index as a whole or not at all, whenever this is interrupted. What cannot be read is in
        the report, and does not stop the rest. Raises InputError if a folder does not exist.
        """
        self.report = update_index(self.path, folders, options, progress)
        return self.report

    def forget(self, folders: Iterable[str | os.PathLike[str]]) -> int:
        """Take all files of some folders, or single files, out of the index; return how many there were.

        They need not exist any more. Raises InputError for one that the index has nothing of, before anything is
        taken out.
        """
        return forget(self.path, folders)

    def search(self, words: str, *, limit: int = 10) -> list[Passage]:
        """Return the passages that fit some words or a question, best first, at most `limit`.

        Raises InputError for a blank search.
        """
        if limit < 1:
            raise InputError(f"got {limit}", where="limit", wanted="at least 1")
        if not words.strip():
            raise InputError("is empty", where="words", remedy="give some words to search for")
        return self._reading(lambda connection: _search(connection, self._local.lexicon, words, min(limit, _MOST)))

    def ask(
        self,
        answerer: "QuestionAnswerer",
        question: str,
        *,
        top_k: int = 1,
        passages: int | None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        max_question_len: int | None = None,
        budget: str | None = None,
    ) -> "list[CitedAnswer]":
        """Return the best answers to a question; `QuestionAnswerer.ask` is the same, and says more."""
        # Imported here, because an index is made and searched without a model.
        from edge_qa.documents.cited_answers import PASSAGES, cited_answers

        if passages is not None and passages < 1:
            raise InputError(f"got {passages}", where="passages", wanted="at least 1")
        if not isinstance(question, str):
            raise InputError(f"got {type(question).__name__}", where="question", wanted="text")
        if not question.strip():
            raise InputError("question is empty", remedy="give some text")
        return cited_answers(
            answerer,
            question,
            self.search(question, limit=passages or PASSAGES),
            top_k=top_k,
            max_answer_len=max_answer_len,
            no_answer_threshold=no_answer_threshold,
            min_confidence=min_confidence,
            max_question_len=max_question_len,
            budget=budget,
        )

    def files(self) -> list[IndexedFile]:
        """Return all files, those that could not be read with their problem, in the order of their paths."""
        rows = self._reading(lambda one: one.execute(f"SELECT {FILE_COLUMNS} FROM files ORDER BY path").fetchall())
        return [file_of_row(row) for row in rows]

    def file(self, path: str | os.PathLike[str]) -> IndexedFile | None:
        """Return one file, None if the index does not hold it."""
        query = f"SELECT {FILE_COLUMNS} FROM files WHERE path = ?"
        row = self._reading(lambda one: one.execute(query, (os.fsencode(path),)).fetchone())
        return None if row is None else file_of_row(row)

    def passages(self) -> int:
        """Return how many passages there are."""
        count: int = self._reading(lambda one: one.execute("SELECT count(*) FROM passages").fetchone()[0])
        return count

    def reading_options(self) -> ReadingOptions:
        """Return the options of the last update."""
        return self._reading(stored_options)

    def close(self) -> None:
        """Close what this thread has open; the next call opens it again."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = self._local.lexicon = None

    def __enter__(self) -> "DocumentIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        """The connection of this thread; one of another process must not be used in a child."""
        if getattr(self._local, "process", None) not in (None, os.getpid()):
            _inherited.append(self._local.connection)
            self._local.connection = None
        place = _place(self.path)
        if getattr(self._local, "connection", None) is not None and self._local.place != place:
            self.close()  # another index stands there now, or none
        if getattr(self._local, "connection", None) is None:
            opened = open_to_read(self.path)
            with errors_of(self.path):
                self._local.lexicon = Lexicon(opened)
                opened.execute("PRAGMA query_only = 1")
            self._local.connection, self._local.process, self._local.place = opened, os.getpid(), place
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _reading(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        with errors_of(self.path):
            connection = self._connection()
            # One look at the index, whoever writes meanwhile.
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("ROLLBACK")


def _place(path: Path) -> tuple[int, int] | None:
    """What tells one file from another that was put at its path."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _search(connection: sqlite3.Connection, lexicon: Lexicon, words: str, limit: int) -> list[Passage]:
    """The passages that BM25 ranks highest, sorted anew by all that they have in common with the words."""
    most = max(limit, _CANDIDATES)
    scores: dict[int, float] = {}
    marked: dict[int, tuple[str, str]] = {}
    if (query := word_query(words)) is not None:
        for identity, rank, heading, text in connection.execute(
            "SELECT rowid, rank, heading, highlight(words, 2, ?, ?) FROM words WHERE words MATCH ?"
            " ORDER BY rank LIMIT ?",
            (OPEN, CLOSE, query, most),
        ):
            scores[identity], marked[identity] = -rank, (heading, text)
    if (query := gram_query(words)) is not None:
        found = connection.execute(
            "SELECT rowid, rank FROM grams WHERE grams MATCH ? ORDER BY rank LIMIT ?", (query, most)
        )
        for identity, rank in found:
            scores[identity] = scores.get(identity, 0.0) - rank
    rows = [(score, *marked.get(identity, ("", ""))) for identity, score in scores.items()]
    closeness = dict(zip(scores, lexicon.closeness(words, rows), strict=True))
    best = sorted(scores, key=lambda identity: (-closeness[identity].score, identity))[:limit]
    return [_passage(connection, identity, closeness[identity]) for identity in best]


def _passage(connection: sqlite3.Connection, identity: int, closeness: Closeness) -> Passage:
    start, heading, text, *file = connection.execute(
        f"SELECT start, heading, text, {FILE_COLUMNS} FROM passages JOIN files ON files.id = file"
        " WHERE passages.id = ?",
        (identity,),
    ).fetchone()
    return Passage(file_of_row(tuple(file)), start, heading, text, closeness)
