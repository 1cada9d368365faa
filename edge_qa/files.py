"""Write a folder whole or not at all."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_qa.errors import InputError, ResourceError

# What the folders that this program writes hold: a bundle or a checkpoint. `force` replaces no others.
_OWN_FILES = re.compile(
    r"bundle\.json|model[A-Za-z0-9._-]*\.(xml|bin)|model\.safetensors|config\.json|vocab\.txt|README\.md|"
    r"(tokenizer|tokenizer_config|special_tokens_map)\.json"
)
_CANNOT_WRITE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ENOTDIR, errno.ELOOP),  # /proc and its like
}
_MARKS = {"bundle.json", "config.json"}


def check_destination(
    destination: Path,
    *,
    force: bool,
    sources: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Raise InputError if `destination` cannot be written, or would be at the cost of something else.

    force: an existing folder may be replaced if it is empty or holds what this program writes, and
    nothing besides. sources: what is read; no destination may be one of them, hold one or lie inside one.
    """
    try:
        real = Path(os.path.realpath(destination))
        for source in sources:
            origin = Path(os.path.realpath(source))
            if real == origin or real in origin.parents:
                raise InputError(
                    f"is, or holds, what is read ({source})", where=destination, remedy="give another name"
                )
            if origin in real.parents:
                raise InputError(f"is inside what is read ({source})", where=destination, remedy="give another place")
        if not destination.parent.is_dir():
            raise InputError(
                "its parent folder does not exist", where=destination, remedy=f"create {destination.parent} first"
            )
        if not destination.is_symlink() and not destination.exists():
            return
        if not force:
            raise InputError(
                "already exists", where=destination, remedy="give another name, or replace it with `force`"
            )
        if not destination.is_dir() or destination.is_symlink():
            raise InputError("exists and is not a folder", where=destination, remedy="remove it or give another name")
        names = sorted(path.name for path in destination.iterdir())
    except OSError as problem:
        raise ResourceError(
            f"cannot be written ({problem.strerror})", where=destination, remedy="choose another place"
        ) from None
    foreign = [name for name in names if not _OWN_FILES.fullmatch(name)]
    if foreign or (names and not _MARKS & set(names)):
        raise InputError(
            f"`force` replaces a bundle or a checkpoint, and this folder holds {', '.join((foreign or names)[:5])}",
            where=destination,
            remedy="give another name",
        )


def check_file(
    path: Path,
    *,
    force: bool,
    sources: Iterable[str | os.PathLike[str]] = (),
    others: Iterable[str | os.PathLike[str] | None] = (),
) -> None:
    """Raise InputError if a file cannot be written, or would be at the cost of something else.

    force: a file that is there may be replaced. sources: what is read, files and folders. others: what else
    is written; a file may be none of all these, and in none of the folders.
    """
    real = Path(os.path.realpath(path))
    for names, what in ((sources, "read"), (others, "written, too")):
        for other in names:
            if other is not None and (place := Path(os.path.realpath(other))) in (real, *real.parents):
                where = "is" if place == real else "is inside"
                raise InputError(f"{where} what is {what} ({other})", where=path, remedy="give another name")
    try:
        if not path.parent.is_dir():
            raise ResourceError(
                "cannot be written, its folder does not exist", where=path, remedy=f"create {path.parent} first"
            )
        if path.is_dir():
            raise InputError("is a folder", where=path, remedy="give the name of a file")
        if path.exists() and not path.is_file():
            # It would become a plain file, /dev/null for the whole machine.
            raise InputError("is a device or a pipe", where=path, remedy="give the name of a file")
        if path.exists() and not force:
            raise InputError("already exists", where=path, remedy="give another name, or replace it with `force`")
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        draft.touch(exist_ok=False)
        draft.unlink()
    except OSError as problem:
        raise ResourceError(
            f"cannot be written ({problem.strerror})", where=path, remedy="choose another place"
        ) from None


@contextlib.contextmanager
def new_folder(destination: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `destination` when the block ends, and is removed if it fails.

    With `force` an existing destination is replaced, at the very end. Everything is synced before
    the rename, so that a power cut leaves the old folder or the new one.
    """
    destination = Path(os.path.abspath(destination))
    check_destination(destination, force=force)
    draft = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.mkdir()
        yield draft
        _sync(draft)
        _replace(draft, destination, force=force)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = shutil.disk_usage(destination.parent).free
            raise ResourceError(
                f"the disk is full ({free // 2**20} MiB free); nothing was written",
                where=destination,
                remedy="free some space",
            ) from None
        if problem.errno in _CANNOT_WRITE:
            raise ResourceError(
                f"cannot write ({problem.strerror})", where=destination, remedy="choose another place"
            ) from None
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(draft: Path, destination: Path, *, force: bool) -> None:
    check_destination(destination, force=force)
    if destination.exists():
        old = draft.with_suffix(".old")
        destination.rename(old)
        try:
            draft.rename(destination)
        except BaseException:
            old.rename(destination)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(destination)
    _sync_folder(destination.parent)


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write one file whole or not at all. Raises ResourceError if it cannot be written."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as problem:
        raise ResourceError(
            f"cannot be written ({problem.strerror})", where=path, remedy="choose another place"
        ) from None
    finally:
        # A file system that is read-only refuses even to remove what is not there.
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
