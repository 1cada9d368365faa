"""Write a folder whole or not at all."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_qa.errors import BundleError, EdgeQAError, ResourceError


def check_destination(destination: Path, *, force: bool, error: type[EdgeQAError] = BundleError) -> None:
    """Raise `error` if `destination` exists and `force` does not allow to replace it, or its parent is missing."""
    if not destination.parent.is_dir():
        raise error(f"{destination}: its parent folder does not exist; create {destination.parent} first")
    if destination.is_symlink() or destination.exists():
        if not force:
            raise error(f"{destination}: already exists; give another name, or --force to replace it")
        if not destination.is_dir() or destination.is_symlink():
            raise error(f"{destination}: exists and is not a folder; remove it or give another name")


@contextlib.contextmanager
def new_folder(destination: Path, *, force: bool = False, error: type[EdgeQAError] = BundleError) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `destination` when the block ends, and is removed if it fails.

    With `force` an existing destination is replaced, at the very end. Everything is synced before
    the rename, so that a power cut leaves the old folder or the new one.
    """
    destination = Path(os.path.abspath(destination))
    check_destination(destination, force=force, error=error)
    draft = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.mkdir()
        yield draft
        _sync(draft)
        _replace(draft, destination, force=force, error=error)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = shutil.disk_usage(destination.parent).free
            raise ResourceError(
                f"{destination}: the disk is full ({free // 2**20} MiB free); nothing was written; free some space"
            ) from None
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ResourceError(f"{destination}: cannot write ({problem.strerror}); choose another place") from None
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(draft: Path, destination: Path, *, force: bool, error: type[EdgeQAError]) -> None:
    check_destination(destination, force=force, error=error)
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
        raise ResourceError(f"{path}: cannot be written ({problem.strerror}); choose another place") from None
    finally:
        draft.unlink(missing_ok=True)
