"""Which files of some folders belong into an index."""

import fnmatch
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_qa.documents.readers.kinds import TEXT, Kind, kind_of
from edge_qa.errors import InputError

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class ReadingOptions:
    """What is read, and how.

    include: patterns such as "*.md" or "reports/*.pdf"; only what matches one is read, as text if its name says
    nothing. None for all files of a known format. exclude: patterns of what is left out.
    A pattern without a slash is one of names, of files and of folders; one with a slash, of the path in the folder.
    latin_1: take text that is not UTF-8 for Latin-1. max_file_bytes: what is larger is reported, not read.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    latin_1: bool = False
    max_file_bytes: int = 64 * _MEBIBYTE

    def __post_init__(self) -> None:
        """Raise InputError for a pattern that nothing matches."""
        for name in ("include", "exclude"):
            if not all(getattr(self, name)):
                raise InputError("got an empty pattern", where=name, wanted="such as '*.md'")


@dataclass(frozen=True)
class Found:
    """A file to index."""

    path: str
    kind: Kind
    size: int
    modified_ns: int


def check_roots(roots: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return real paths.

    Raises InputError for one that is not there or may not be read, before anything is taken out of an index.
    """
    real = []
    for root in roots:
        path = os.path.realpath(root)
        if not os.path.exists(path):
            raise InputError(
                "does not exist",
                where=Path(root),
                remedy="give folders or files that are there; to take one out of an index, `forget` it",
            )
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", where=Path(root), remedy="check its permissions"
            ) from None
        real.append(path)
    if not real:
        raise InputError("no folder was given", where="folders", wanted="at least one")
    return sorted(set(real))


def walk(
    root: str, options: ReadingOptions, own: frozenset[str], unreadable: Callable[[str, str], None]
) -> Iterator[Found]:
    """Yield the files below `root`, or `root` itself, in the order of their paths.

    Hidden files and folders are left out, and links to folders are not followed.
    own: paths that belong to the index. unreadable: told of each folder that cannot be listed, and why.
    """
    if not os.path.isdir(root):
        found = _found(root, os.path.basename(root), options, own, given=True)
        if found is not None:
            yield found
        return
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            unreadable(folder, error.strerror or "cannot be listed")
            continue
        folders = []
        for entry in entries:
            relative = os.path.relpath(entry.path, root)
            if entry.name.startswith(".") or _matches(relative, options.exclude):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif (found := _found(entry.path, relative, options, own)) is not None:
                yield found
        waiting += reversed(folders)


def _found(
    path: str, relative: str, options: ReadingOptions, own: frozenset[str], *, given: bool = False
) -> Found | None:
    kind = kind_of(path)
    if options.include:
        if not _matches(relative, options.include):
            return None
        kind = kind or TEXT
    elif given:
        kind = kind or TEXT
    if kind is None or path in own:
        return None
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None  # gone meanwhile, or a link to nothing
    except OSError:
        return Found(path, kind, 0, 0)  # in a folder that may not be entered, or a link in a circle: reading says so
    if not stat.S_ISREG(status.st_mode):
        return None  # a pipe would never end
    return Found(path, kind, status.st_size, status.st_mtime_ns)


def _matches(relative: str, patterns: tuple[str, ...]) -> bool:
    name = os.path.basename(relative)
    return any(fnmatch.fnmatch(relative if "/" in pattern else name, pattern.rstrip("/")) for pattern in patterns)
