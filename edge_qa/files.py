"""Write a file or a folder whole or not at all, and replace one by another in one step.

What is being written lies beside its destination, under a hidden name, with a lock on it (`flock`). Whoever writes
under the same name next removes what a killed process left there; a lock tells what is still being written.

A folder that replaces another changes names with it in one system call (`renameat2` with RENAME_EXCHANGE), so that
there is always one of them under the name. Where the kernel or the file system has no such call (NFS, FAT, some
FUSE), the old folder is moved away first, and for a moment nothing is there.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_qa.errors import InputError, ResourceError

# What the folders that this program writes hold: a bundle or a checkpoint. `force` replaces no others.
_OWN_FILES = re.compile(
    r"bundle\.json|model[A-Za-z0-9._-]*\.(xml|bin)|model\.native|model\.safetensors|config\.json|vocab\.txt|README\.md|"
    r"(tokenizer|tokenizer_config|special_tokens_map)\.json"
)
_MARKS = {"bundle.json", "config.json"}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What renameat2 says where there is no such call, or the file system does not do what was asked for.
_NO_SUCH_CALL = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2


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
            if other is not None and _same_file(path, other):  # by two names
                raise InputError(f"is what is {what} ({other})", where=path, remedy="give another name")
    try:
        if not path.parent.is_dir():
            raise InputError(
                "cannot be written, its folder does not exist", where=path, remedy=f"create {path.parent} first"
            )
        if path.is_dir():
            raise InputError("is a folder", where=path, remedy="give the name of a file")
        if path.exists() and not path.is_file():
            # It would become a plain file, /dev/null for the whole machine.
            raise InputError("is a device or a pipe", where=path, remedy="give the name of a file")
        if path.exists() and not force:
            raise InputError("already exists", where=path, remedy="give another name, or replace it with `force`")
        draft = _draft_name(path)
        draft.touch(exist_ok=False)
        draft.unlink(missing_ok=True)
    except OSError as problem:
        raise ResourceError(
            f"cannot be written ({problem.strerror})", where=path, remedy="choose another place"
        ) from None


def _same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


@contextlib.contextmanager
def new_folder(destination: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `destination` when the block ends, and is removed if it fails.

    With `force` an existing destination is replaced, at the very end. Everything is synced before
    it gets its name, so that a power cut leaves the old folder or the new one.
    Raises ResourceError if it cannot be written; the error, and an interruption, tells if it was written.
    """
    destination = Path(os.path.abspath(destination))
    check_destination(destination, force=force)
    _sweep(destination)
    draft, lock = _draft_name(destination), None
    old = draft.with_suffix(".old")
    try:
        lock = _locked_folder(draft)
        yield draft
        _sync(draft)
        _give_name(draft, destination, old, force=force)
        sync_folder(destination.parent)
        # After an exchange the old folder has the draft's name.
        _remove(draft, old)
    except BaseException as problem:
        # A signal, too, can come between a system call and the line after it: only a look tells what was done.
        written = _is_at(lock, destination)
        if not written and old.exists() and not destination.exists():
            with contextlib.suppress(OSError):
                old.rename(destination)
        _remove(draft, *([old] if written else []))
        if isinstance(problem, KeyboardInterrupt) and written:
            raise KeyboardInterrupt(f"{destination} was written before that") from None
        if isinstance(problem, OSError) and written:
            raise ResourceError(
                f"was written, but a power cut may undo it ({problem.strerror})",
                where=destination,
                remedy="check the disk, and write it again",
            ) from None
        if isinstance(problem, OSError) and _is_about(problem, draft, destination):
            raise _not_written(problem, destination) from None
        raise
    finally:
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def scratch_folder(destination: Path) -> Iterator[Path]:
    """Yield a folder for what is only needed until `destination` is written; it is removed when the block ends.

    It lies beside the destination, where there has to be room anyway, and not where temporary files go, which is
    often memory. What a killed process leaves of it is swept by the next writer of that name.
    Raises ResourceError if it cannot be written.
    """
    destination = Path(os.path.abspath(destination))
    _sweep(destination)
    draft, lock = _draft_name(destination), None
    try:
        lock = _locked_folder(draft)
        yield draft
    except OSError as problem:
        if _is_about(problem, draft, destination):
            raise _not_written(problem, destination) from None
        raise
    finally:
        _remove(draft)
        if lock is not None:
            os.close(lock)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _is_about(problem: OSError, draft: Path, destination: Path) -> bool:
    """False for what another file, a socket or a pipe gave: that is not this folder's matter."""
    if problem.errno is None or isinstance(problem, BrokenPipeError):
        return False
    if not isinstance(problem.filename, str | os.PathLike):
        return problem.filename is None
    place = Path(problem.filename)
    return draft in (place, *place.parents) or place in (destination, destination.parent)


def _not_written(problem: OSError, destination: Path) -> ResourceError:
    if problem.errno in _DISK_FULL:
        free = shutil.disk_usage(destination.parent).free
        return ResourceError(
            f"the disk is full ({free // 2**20} MiB free); nothing was written",
            where=destination,
            remedy="free some space",
        )
    return ResourceError(
        f"cannot be written ({problem.strerror}); nothing was written", where=destination, remedy="choose another place"
    )


def _draft_name(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.tmp")


def _locked_folder(draft: Path) -> int:
    """Make a folder to write in, and return the descriptor that holds the lock on it."""
    while True:
        draft.mkdir()
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # a file system without locks: nobody sweeps there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock, draft):
                return lock
            os.close(lock)


def _is_at(descriptor: int | None, path: Path) -> bool:
    """True if the open file or folder has this name now."""
    if descriptor is None:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _sweep(destination: Path) -> None:
    """Remove what killed processes left of `destination`: drafts, and folders that were replaced."""
    pattern = re.compile(rf"\.{re.escape(destination.name)}\.[0-9a-f]{{8}}\.(tmp|old)")
    try:
        left = [path for path in destination.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return
    for path in left:
        if path.suffix == ".old" and not destination.exists():
            continue  # the only one that is left of two
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)


def _give_name(draft: Path, destination: Path, old: Path, *, force: bool) -> None:
    """Give a whole draft its name; what had the name before then has the draft's, or is at `old`."""
    while True:
        check_destination(destination, force=force)
        exists = destination.exists()
        try:
            _rename(draft, destination, _RENAME_EXCHANGE if exists else _RENAME_NOREPLACE)
            return
        except (FileExistsError, FileNotFoundError):
            if not draft.exists():
                raise
            continue  # it came or went meanwhile
        except OSError as problem:
            if problem.errno not in _NO_SUCH_CALL:
                raise
        if exists:
            destination.rename(old)
        draft.rename(destination)
        return


def _rename(source: Path, target: Path, flags: int) -> None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            _sync(path)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write one file whole or not at all. Raises ResourceError if it cannot be written."""
    _sweep(path)
    draft = _draft_name(path)
    try:
        with draft.open("wb") as file:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=path, remedy="choose another place"
        ) from None
    finally:
        # A file system that is read-only refuses even to remove what is not there.
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
