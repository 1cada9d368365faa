"""The one import of OpenVINO, without its telemetry and its converter, and the one core of this process.

`import openvino` starts a process that posts usage data to a server and writes a folder into the
home directory; both come from `openvino.tools.ovc`, a model converter that answering does not
need and that costs a third of the import. Hiding that one submodule while `openvino` is imported
is enough: `openvino/__init__.py` treats it as optional. Afterwards it is importable again. Code
that imported openvino before this module keeps what it has.

The CPU plugin of a core sets the alternate signal stack of the thread that loads it, and frees that stack when
it goes; of two cores, the one made first must go last, or the thread is left with a stack that is no longer
there, and the next signal that Python handles, such as Ctrl-C, kills the process (seen in OpenVINO 2026.4.1). So
there is one core, which stays.
"""

import contextlib
import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_CONVERTER = "openvino.tools.ovc"
_TELEMETRY = "openvino_telemetry"


def without_telemetry() -> None:
    """Hide the telemetry package from whatever is imported later in this process (nncf asks for it)."""
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]


# Where less is left under a limit (`ulimit -v`), OpenVINO can crash as it is loaded, and answers nothing in any case.
_LEAST_ADDRESS_BYTES = 256 * 2**20


def _check_address_space() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    try:
        with open("/proc/self/statm", "rb") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    if limit - used < _LEAST_ADDRESS_BYTES:
        raise MemoryError(f"OpenVINO needs more than the {limit} bytes of address space that a limit allows")


if "openvino" not in sys.modules:
    _check_address_space()
_hide_converter = "openvino" not in sys.modules and _CONVERTER not in sys.modules
if _hide_converter:
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
try:
    import openvino as ov
finally:
    if _hide_converter:
        del sys.modules[_CONVERTER]

_cores: dict[int, ov.Core] = {}


def keep_for_ever(value: Any) -> None:
    """Never free a value, not even when the interpreter ends.

    In a forked child what OpenVINO made before the fork has no threads any more, and freeing it waits for them.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


class _Use:
    """Who is inside OpenVINO: a fork waits for them, because a child inherits what its threads held at that moment."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users, self._forking = 0, False
        self.was_forked = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Be inside OpenVINO for the length of a `with` block; a fork that has begun comes first."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def before_fork(self) -> None:
        self._changed.acquire()
        self._forking = True
        if _cores:
            self._changed.wait_for(lambda: not self._users, _LONGEST_WAIT_SECONDS)
            _wait_for_workers()

    def after_fork_in_parent(self) -> None:
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        self._changed, self._users, self._forking = threading.Condition(), 0, False
        self.was_forked = self.was_forked or bool(_cores)
        for core in _cores.values():
            keep_for_ever(core)


def options_after_fork() -> dict[str, Any]:
    """Return the options that a model must be compiled with if an ancestor of this process had used OpenVINO.

    OpenVINO keeps its threads for the next model, and in a child believes in those of the parent: it must use none.
    """
    return {"NUM_STREAMS": 0} if in_use.was_forked else {}


def _wait_for_workers() -> None:
    """Wait until the threads that are not Python's sleep: after its work a thread of TBB looks around for more.

    One that holds a lock of TBB's scheduler when the process forks holds it in the child for ever.
    """
    own = {thread.native_id for thread in threading.enumerate()}
    until = time.monotonic() + _LONGEST_SETTLING_SECONDS
    asleep = 0
    # Twice in a row, because they are not looked at all at once.
    while asleep < 2 and time.monotonic() < until:
        asleep = asleep + 1 if all(map(_is_asleep, _tasks() - own)) else 0
        time.sleep(0 if asleep else _LOOK_AGAIN_SECONDS)


def _tasks() -> set[int]:
    try:
        return {int(task) for task in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def _is_asleep(task: int) -> bool:
    try:
        with open(f"/proc/self/task/{task}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] != b"R"
    except OSError:
        return True  # it has ended


# What a fork waits for: one inference, or one compilation. Longer only if a signal's handler forks inside of one.
_LONGEST_WAIT_SECONDS = 2.0
# Then for the threads of OpenVINO, or of something else that works on for ever.
_LONGEST_SETTLING_SECONDS, _LOOK_AGAIN_SECONDS = 0.25, 0.0005
in_use = _Use()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=in_use.before_fork,
        after_in_parent=in_use.after_fork_in_parent,
        after_in_child=in_use.after_fork_in_child,
    )


def this_core() -> ov.Core:
    """Return the core of this process; a forked child gets its own."""
    # No lock, which a fork could copy while it is held: a core that comes second has loaded no plugin yet.
    process = os.getpid()
    if process not in _cores:
        core = _cores.setdefault(process, ov.Core())
        if in_use.was_forked:
            keep_for_ever(core)  # freeing it clears what it believes to be its threads
    return _cores[process]


__all__ = ["in_use", "keep_for_ever", "options_after_fork", "ov", "this_core", "without_telemetry"]
