"""The SQLite file of an index: its tables, how it is opened, and what its errors mean.

Format 1: `files` (one row a file, with its hash), `passages` (offsets and text), `words` (FTS5 over stemmed words,
title and headings in columns of their own) and `grams` (FTS5 over pairs of characters, for scripts that put no
space between words). While an index is written it has a write-ahead log beside it; then it is one file again.
"""

import contextlib
import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from edge_qa.errors import EdgeQAError, InputError, ResourceError

FORMAT = 1
_APPLICATION = 0x45515141  # "EQQA", in the file's header
# Milliseconds to wait for another process that writes.
_BUSY_MS = 30_000
# Of words, which a question's words must be stemmed by, too.
TOKENIZER = "porter unicode61 remove_diacritics 2"
# Of the title and file name, of the headings, of the text.
_WEIGHTS = (1.0, 1.0, 1.0)
_SCHEMA = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    pages TEXT NOT NULL,
    characters INTEGER NOT NULL,
    problem TEXT
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES files (id),
    start INTEGER NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passages_of_file ON passages (file);
CREATE VIEW searchable AS
    SELECT passages.id AS id, files.title AS title, passages.heading AS heading, passages.text AS text
    FROM passages JOIN files ON files.id = passages.file;
CREATE VIRTUAL TABLE words USING fts5(
    title, heading, text, content='searchable', content_rowid='id', tokenize='{TOKENIZER}'
);
CREATE VIRTUAL TABLE grams USING fts5(text, content='', tokenize="unicode61 categories 'L* M* N* Co'");
INSERT INTO words(words, rank) VALUES ('rank', 'bm25({", ".join(map(str, _WEIGHTS))})');
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {FORMAT};
"""


class Connection(sqlite3.Connection):
    """A connection that closes with the thread that has it."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # one that could not be opened
            self.close()


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Raise InputError for a file that is no index or is damaged, ResourceError for what the machine lacks."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(error, path) from None


def _explained(error: sqlite3.Error, path: Path) -> EdgeQAError:
    name = getattr(error, "sqlite_errorname", "") or ""
    message = str(error)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return ResourceError("another process is writing it", where=path, remedy="try again when that is done")
    if name.startswith("SQLITE_FULL"):
        return ResourceError("the disk is full", where=path, remedy="free some space")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR", "SQLITE_AUTH")):
        return ResourceError(f"cannot be opened or written ({message})", where=path, remedy="check the file's rights")
    if "no such module: fts5" in message:
        return ResourceError(
            "Python's sqlite3 has no FTS5 on this machine", where=path, remedy="use a Python whose SQLite has it"
        )
    return InputError(f"is damaged ({message})", where=path, remedy="delete it and index the folders again")


def open_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection that writes; the file is made if it is not there. Raises InputError, ResourceError."""
    try:
        there = path.exists()
        if there and not path.is_file():
            raise InputError("is no file", where=path, remedy="give the name of a file for the index")
        if not path.parent.is_dir():
            raise InputError("its folder does not exist", where=path, remedy=f"create {path.parent} first")
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=path, remedy="choose another place"
        ) from None
    if there:
        _check_header(path, empty_is_fine=True)
    with errors_of(path):
        connection = sqlite3.connect(
            path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False, factory=Connection
        )
    try:
        with errors_of(path):
            # A log instead of a journal: who asks meanwhile is not kept waiting, and a commit costs no sync.
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            with transaction(connection):
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in _SCHEMA.split(";\n"):
                        connection.execute(statement)
        _check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def finish_writing(connection: sqlite3.Connection, path: Path) -> None:
    """Make one file of the index and its log, and close; where somebody else is using it, that does so later."""
    with errors_of(path):
        connection.execute("PRAGMA busy_timeout = 0")
        with contextlib.suppress(sqlite3.OperationalError):  # in use
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.close()


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that reads. Raises InputError if there is no index that can be read, ResourceError."""
    try:
        kind = "" if path.is_file() else "is no file" if path.exists() else "does not exist"
    except OSError as error:
        raise _unreadable(error, path) from None
    if kind:
        raise InputError(kind, where=path, remedy="make an index first")
    _check_header(path)
    log = path.with_name(f"{path.name}-wal")
    # What a killed process left in the log is taken over, which needs the right to write.
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    mode = "rw" if writable else "ro"
    if not writable and (not log.exists() or not log.stat().st_size):
        mode = "ro&immutable=1"
    with errors_of(path):
        connection = sqlite3.connect(
            f"file:{urllib.parse.quote(os.fsencode(os.path.abspath(path)))}?mode={mode}",
            uri=True,
            timeout=_BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
    try:
        _check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside the block is there afterwards, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_header(path: Path, *, empty_is_fine: bool = False) -> None:
    """SQLite itself would say of a text file that it is no database, and of an empty one that all is well."""
    try:
        with path.open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise _unreadable(error, path) from None
    if not header and empty_is_fine:
        return
    if header != b"SQLite format 3\0":
        raise InputError(
            "is no index of documents" if header else "is empty", where=path, remedy="give another file, or delete it"
        )


def _unreadable(error: OSError, path: Path) -> InputError:
    return InputError(f"cannot be read ({error.strerror})", where=path, remedy="check the file's rights")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    with errors_of(path):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise InputError("is a database of another program", where=path, remedy="give another file")
    if version != FORMAT:
        raise InputError(f"has format {version}", where=path, wanted=str(FORMAT), remedy="delete it and index again")
