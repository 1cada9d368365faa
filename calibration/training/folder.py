"""The folder that a run keeps its state in: what lies there, where it may be, and what is removed when; no torch."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_qa.errors import InputError

STATE = "state.pt"  # of one run, until it is done
_FOR_MANY_RUNS = ("windows-*.npz", "teacher-*.f16")
_DRAFTS = tuple(f".{pattern}.*.tmp" for pattern in (STATE, *_FOR_MANY_RUNS))  # of a run that was killed as it wrote


def check_state_folder(folder: Path, target: Path, read: Sequence[str | os.PathLike[str]], *, resume: bool) -> None:
    """Raise InputError now for a place that would be found wrong when hours are over, or hours that would be lost."""
    real = Path(os.path.realpath(folder))
    for other, what in ((target, "is written"), *((item, "is read") for item in read)):
        place = Path(os.path.realpath(other))
        if place in (real, *real.parents):
            raise InputError(
                f"the state cannot lie in what {what} ({other})", where=folder, remedy="give another `state` folder"
            )
    if not resume and os.path.exists(folder / STATE):  # False where one may not look
        raise InputError(
            "a run was stopped there",
            where=folder / STATE,
            remedy="`resume` goes on with it, and to begin anew remove the file",
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder. Raises InputError if one is in it; the lock ends with its process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        used = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            used = True
        except OSError:
            pass  # a file system without locks
        if used:
            # Not raised above: "Resource temporarily unavailable" is also what a lack of memory is called.
            raise InputError(
                "another run is using it", where=folder, remedy="wait for its end, or give another `state` folder"
            )
        yield
    finally:
        os.close(handle)


def clear_state_folder(folder: Path, *, keep_data: bool) -> None:
    """Remove the state of a run that is done; also what other runs over the same data could use, unless kept."""
    for pattern in (STATE, *_DRAFTS, *(() if keep_data else _FOR_MANY_RUNS)):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
