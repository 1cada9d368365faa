"""A folder of answers in parts, with a manifest that says which are whole.

`part-00000.jsonl` and so on hold a line for each row of the input; read one after the other they are what one
process would have written. `manifest.jsonl` has a line of what was asked for, one for each part that is whole, in the
order in which they were finished, and at the end {"complete": true}. A part gets its name when it is whole, and its
line in the manifest after that.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_qa.errors import InputError, ResourceError
from edge_qa.files import sync_folder, write_file
from edge_qa.integrations.ray_batch.parts import Part

MANIFEST = "manifest.jsonl"
_FORMAT = 1
_OWN = re.compile(r"part-\d{5,}\.jsonl|manifest\.jsonl|\.(part-\d{5,}|manifest)\.jsonl\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Written:
    """A part that is whole. first: the number of its first row in the source. input_sha256: of the rows."""

    part: int
    file: str
    source: str
    first: int
    lines: int
    failed: int
    input_sha256: str
    sha256: str


class OutputFolder:
    """Takes parts in any order. One process writes at a time; it is a context manager."""

    def __init__(self, path: Path, asked: Mapping[str, Any], *, resume: bool = False, force: bool = False) -> None:
        """Begin a folder, or go on with one that was asked for the same.

        asked: what must be the same for `resume`, as JSON. force: an older output in the folder is removed.
        Raises InputError for a folder with something else in it, or that was asked for something else, and
        ResourceError where nothing can be written.
        """
        self.path, self._header = path, {"format": _FORMAT, **asked}
        self.done: dict[int, Written] = {}
        try:
            path.mkdir(exist_ok=True)
            self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ResourceError(
                f"cannot be written ({error.strerror})", where=path, remedy="choose another place"
            ) from None
        try:
            self._take_lock()
            self._begin(resume, force)
            self._manifest = (path / MANIFEST).open("ab")
        except BaseException:
            os.close(self._lock)
            raise

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another run writes here", where=self.path, remedy="wait for it") from None
        except OSError:
            pass  # a file system without locks

    def _begin(self, resume: bool, force: bool) -> None:
        names = sorted(path.name for path in self.path.iterdir())
        if foreign := [name for name in names if not _OWN.fullmatch(name)]:
            raise InputError(f"holds {', '.join(foreign[:5])}", where=self.path, remedy="give a new folder")
        if resume and MANIFEST in names:
            self.done = {entry.part: entry for entry in self._whole_entries()}
        elif names and not (force or resume):
            raise InputError(
                "holds answers already", where=self.path, remedy="give a new folder, or go on with `resume`"
            )
        kept = {entry.file for entry in self.done.values()} | {MANIFEST}
        lines = [self._header, *map(asdict, self.done.values())]
        write_file(self.path / MANIFEST, b"".join(map(_line, lines)))
        for name in names:
            if name not in kept:
                (self.path / name).unlink(missing_ok=True)

    def _whole_entries(self) -> list[Written]:
        """The parts that the manifest names and that are there unchanged; half a last line is passed over."""
        lines = (self.path / MANIFEST).read_bytes().split(b"\n")[:-1]
        try:
            header, *rest = (json.loads(line) for line in lines if line.strip(b"\0"))
            entries = [Written(**value) for value in rest if "complete" not in value]
        except (ValueError, TypeError):
            raise InputError("is damaged", where=self.path / MANIFEST, remedy="begin anew with `force`") from None
        for key in {**header, **self._header}:
            if header.get(key) != self._header.get(key):
                raise InputError(
                    f"was made with {key} {_short(header.get(key))}, and this is {_short(self._header.get(key))}",
                    where=self.path,
                    remedy="resume with what the run was begun with, or give a new folder",
                )
        return [entry for entry in entries if _is_whole(self.path / entry.file, entry.sha256)]

    def holds(self, part: Part) -> bool:
        """Return whether a part is done. Raises InputError if other rows were answered under its number."""
        entry = self.done.get(part.number)
        if entry is None:
            return False
        if (entry.source, entry.first, entry.input_sha256) != (part.source, part.first, part.sha256()):
            raise InputError(
                f"{entry.file} answers other lines than {part.source} has from line {part.first} on",
                where=self.path,
                remedy="resume with the input of the run that was interrupted",
            )
        return True

    def write(self, part: Part, content: bytes, failed: int) -> None:
        """Write the answers of a part. Raises ResourceError."""
        name = f"part-{part.number:05d}.jsonl"
        write_file(self.path / name, content)
        sha256 = hashlib.sha256(content).hexdigest()
        entry = Written(part.number, name, part.source, part.first, len(part.rows), failed, part.sha256(), sha256)
        self._append(asdict(entry))
        self.done[part.number] = entry

    def complete(self, parts: int) -> None:
        """Say that there are no more parts than these. Raises InputError if there were more before."""
        if len(self.done) != parts:
            raise InputError(
                f"holds {len(self.done)} parts, and the input has {parts}",
                where=self.path,
                remedy="resume with the input of the run that was interrupted",
            )
        self._append({"complete": True, "parts": parts, "lines": self.lines, "failed": self.failed})

    @property
    def lines(self) -> int:
        """How many lines are written."""
        return sum(entry.lines for entry in self.done.values())

    @property
    def failed(self) -> int:
        """How many of them say why they could not be used."""
        return sum(entry.failed for entry in self.done.values())

    def _append(self, value: Mapping[str, Any]) -> None:
        try:
            self._manifest.write(_line(value))
            self._manifest.flush()
            os.fsync(self._manifest.fileno())
            sync_folder(self.path)
        except OSError as error:
            raise ResourceError(
                f"cannot be written ({error.strerror})",
                where=self.path / MANIFEST,
                remedy="make room, and go on with `resume`",
            ) from None

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(self, *_: object) -> None:
        # What could not be written was told, and closing tries it again.
        with contextlib.suppress(OSError):
            self._manifest.close()
        os.close(self._lock)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
