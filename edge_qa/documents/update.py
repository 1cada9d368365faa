"""Bring an index up to date with some folders: read what changed, take out what is gone."""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_qa.documents.folders import Found, ReadingOptions, check_roots, walk
from edge_qa.documents.passages import cut
from edge_qa.documents.queries import grams
from edge_qa.documents.readers.extracted import Extracted, one_line
from edge_qa.documents.readers.kinds import read
from edge_qa.documents.store import errors_of, finish_writing, open_to_write, transaction
from edge_qa.errors import EdgeQAError, InputError
from edge_qa.git_lfs import refuse_pointer
from edge_qa.progress import Progress

_log = logging.getLogger(__name__)

_OPTIONS = "reading"  # their name among the settings


@dataclass(frozen=True)
class Problem:
    """A file that could not be read, or a folder that could not be listed, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class UpdateReport:
    """What an update did: files by what became of them, and all that the index holds now."""

    added: int
    changed: int
    removed: int
    unchanged: int
    problems: tuple[Problem, ...]
    bytes_read: int
    seconds: float
    files: int
    passages: int


def update_index(
    path: Path,
    folders: Iterable[str | os.PathLike[str]],
    options: ReadingOptions | None,
    progress: Progress,
) -> UpdateReport:
    """Update the index at `path`, which is made if it is not there; see `DocumentIndex.update`."""
    return _Update(path, options).run(folders, progress)


def forget(path: Path, folders: Iterable[str | os.PathLike[str]]) -> int:
    """Take the files of some folders out of an index, whether they are still there or not; see `DocumentIndex`."""
    roots = {Path(folder): os.path.realpath(folder) for folder in folders}
    connection = open_to_write(path)
    try:
        with errors_of(path):
            known = [os.fsdecode(name) for (name,) in connection.execute("SELECT path FROM files")]
            for folder, root in roots.items():
                if not any(_is_in(name, root) for name in known):
                    raise InputError(
                        f"nothing of it is in {path}", where=folder, remedy="give a folder that was indexed"
                    )
            gone = [name for name in known if any(_is_in(name, root) for root in roots.values())]
            with transaction(connection):
                return sum(_remove(connection, name) for name in gone)
    finally:
        with contextlib.suppress(EdgeQAError):
            finish_writing(connection, path)


def stored_options(connection: sqlite3.Connection) -> ReadingOptions:
    """Return the options of the last update."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_OPTIONS,)).fetchone()
    if row is None:
        return ReadingOptions()
    stored = json.loads(row[0])
    return ReadingOptions(
        include=tuple(stored["include"]),
        exclude=tuple(stored["exclude"]),
        latin_1=stored["latin_1"],
        max_file_bytes=stored["max_file_bytes"],
    )


class _Update:
    """One run over some folders."""

    def __init__(self, path: Path, options: ReadingOptions | None) -> None:
        self._path, self._given = path, options
        self._options = options or ReadingOptions()
        self._problems: list[Problem] = []
        self._unlisted: list[str] = []
        self._counts = dict.fromkeys(("added", "changed", "removed", "unchanged"), 0)
        self._bytes = 0

    def run(self, folders: Iterable[str | os.PathLike[str]], progress: Progress) -> UpdateReport:
        begin = time.monotonic()
        roots = check_roots(folders)
        connection = open_to_write(self._path)
        try:
            with errors_of(self._path):
                if self._given is None:
                    self._options = stored_options(connection)
                else:
                    self._store_options(connection)
                self._take_in(connection, roots, progress)
                files, passages = connection.execute(
                    "SELECT (SELECT count(*) FROM files WHERE problem IS NULL), (SELECT count(*) FROM passages)"
                ).fetchone()
                return UpdateReport(
                    **self._counts,
                    problems=tuple(self._problems),
                    bytes_read=self._bytes,
                    seconds=time.monotonic() - begin,
                    files=files,
                    passages=passages,
                )
        finally:
            with contextlib.suppress(EdgeQAError):  # of what is raised already; the log is taken over later
                finish_writing(connection, self._path)

    def _store_options(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            connection.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", (_OPTIONS, json.dumps(asdict(self._options)))
            )

    def _take_in(self, connection: sqlite3.Connection, roots: list[str], progress: Progress) -> None:
        progress("find files")
        own = frozenset(f"{os.path.realpath(self._path)}{end}" for end in ("", "-wal", "-shm", "-journal"))
        found = {file.path: file for root in roots for file in walk(root, self._options, own, self._not_listed)}
        known = {
            os.fsdecode(path): state
            for path, *state in connection.execute("SELECT path, bytes, modified_ns, kind, problem FROM files")
        }
        to_read = [
            file
            for file in found.values()
            if known.get(file.path) != [file.size, file.modified_ns, file.kind.mark, None]
        ]
        self._counts["unchanged"] = len(found) - len(to_read)
        done, total = 0, sum(file.size for file in to_read)
        for file in to_read:
            self._take(connection, file)
            done += file.size
            progress("index", done, total)
        gone = [path for path in known if path not in found and self._was_looked_for(path, roots)]
        for path in gone:
            with transaction(connection):
                self._counts["removed"] += _remove(connection, path)

    def _not_listed(self, folder: str, reason: str) -> None:
        self._unlisted.append(folder)
        self._problems.append(Problem(folder, reason))

    def _was_looked_for(self, path: str, roots: list[str]) -> bool:
        """Whether a run over these folders would have seen a file, if it were there."""
        return any(_is_in(path, root) for root in roots) and not any(_is_in(path, one) for one in self._unlisted)

    def _take(self, connection: sqlite3.Connection, file: Found) -> None:
        """Read one file and put it into the index, whole or not at all."""
        data, extracted, problem = b"", None, None
        try:
            data = _read_bytes(file, self._options.max_file_bytes)
            self._bytes += len(data)
            refuse_pointer(data, InputError, file.path)
            extracted = read(data, file.kind, latin_1=self._options.latin_1)
        except EdgeQAError as error:
            error.where = None  # which the report says itself
            problem = str(error)
        except OSError as error:
            problem = error.strerror or str(error)
        except Exception as error:
            # A parser that fails on a damaged file in a way nobody thought of must not end the run.
            _log.debug("%s", file.path, exc_info=True)
            problem = f"cannot be read ({type(error).__name__}: {one_line(str(error))})"
        if problem is not None:
            self._problems.append(Problem(file.path, problem))
        sha256 = hashlib.sha256(data).hexdigest()
        with transaction(connection):
            # Another process may have been here meanwhile.
            there = connection.execute(
                "SELECT id, sha256, kind, problem FROM files WHERE path = ?", (os.fsencode(file.path),)
            ).fetchone()
            if there is not None and problem is None and there[1:] == (sha256, file.kind.mark, None):
                connection.execute(
                    "UPDATE files SET bytes = ?, modified_ns = ? WHERE id = ?",
                    (file.size, file.modified_ns, there[0]),
                )
                self._counts["unchanged"] += 1
                return
            if there is not None:
                _remove(connection, file.path)
            _insert(connection, file, sha256, extracted, problem)
        if problem is None:
            self._counts["added" if there is None or there[3] is not None else "changed"] += 1


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _read_bytes(file: Found, most: int) -> bytes:
    """All bytes of a regular file. Raises InputError for one that is too large, OSError."""
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is no regular file any more")
        # It may grow while it is read.
        data = opened.read(most + 1)
    if len(data) > most:
        raise InputError(
            f"has {max(status.st_size, len(data)) / 2**20:.0f} MiB, more than {most / 2**20:.0f}",
            remedy="split it, or raise `max_file_bytes`",
        )
    return data


def _insert(
    connection: sqlite3.Connection, file: Found, sha256: str, extracted: Extracted | None, problem: str | None
) -> None:
    stem = os.path.splitext(os.path.basename(file.path))[0].encode("utf-8", "replace").decode()
    title = (extracted.title if extracted else "") or stem
    identity = connection.execute(
        "INSERT INTO files (path, sha256, bytes, modified_ns, kind, title, pages, characters, problem)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            os.fsencode(file.path),
            sha256,
            file.size,
            file.modified_ns,
            file.kind.mark,
            title,
            json.dumps(extracted.page_starts if extracted else ()),
            len(extracted.text) if extracted else 0,
            problem,
        ),
    ).lastrowid
    if extracted is None:
        return
    for passage in cut(extracted):
        text = extracted.text[passage.start : passage.end]
        number = connection.execute(
            "INSERT INTO passages (file, start, heading, text) VALUES (?, ?, ?, ?)",
            (identity, passage.start, passage.heading, text),
        ).lastrowid
        connection.execute(
            "INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
            (number, title, passage.heading, text),
        )
        if pairs := grams(f"{title} {passage.heading} {text}"):
            connection.execute("INSERT INTO grams (rowid, text) VALUES (?, ?)", (number, pairs))


def _remove(connection: sqlite3.Connection, path: str) -> int:
    """Take a file out, and return 1, or 0 if it is not there. An index of words must be told what it loses."""
    row = connection.execute("SELECT id FROM files WHERE path = ?", (os.fsencode(path),)).fetchone()
    if row is None:
        return 0
    where = "WHERE passages.file = ?"
    connection.execute(
        "INSERT INTO words (words, rowid, title, heading, text) SELECT 'delete', passages.id, files.title,"
        f" passages.heading, passages.text FROM passages JOIN files ON files.id = passages.file {where}",
        row,
    )
    passages = connection.execute(
        f"SELECT passages.id, title, heading, text FROM passages JOIN files ON files.id = file {where}", row
    )
    for number, title, heading, text in passages.fetchall():
        if pairs := grams(f"{title} {heading} {text}"):
            connection.execute("INSERT INTO grams (grams, rowid, text) VALUES ('delete', ?, ?)", (number, pairs))
    connection.execute("DELETE FROM passages WHERE file = ?", row)
    connection.execute("DELETE FROM files WHERE id = ?", row)
    return 1
