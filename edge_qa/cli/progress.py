"""Progress on stderr: a line that is redrawn on a terminal, and elsewhere a line a minute."""

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import TextIO

import click

from edge_qa.progress import Progress


def terminal() -> TextIO | None:
    """Return stderr if somebody watches it, for libraries that draw their own bars."""
    return sys.stderr if sys.stderr.isatty() else None


_LINE_SECONDS = 60.0
_PULSE_SECONDS = 5.0  # how often it is looked whether a line is due


class Quiet:
    """Says for a log, which keeps every line, once a minute that something still goes on."""

    def __init__(self) -> None:
        self.shown = time.monotonic()

    def due(self) -> bool:
        """Return whether a line is due; the next one is, a minute later."""
        now = time.monotonic()
        if now - self.shown < _LINE_SECONDS:
            return False
        self.shown = now
        return True


def progress_bars(*, pulse: bool = True) -> Progress:
    """Return what shows the progress of a command: a bar for each stage, begun anew when the stage is.

    Where nobody watches, it is a line a minute. pulse: also while a stage tells nothing, because it does not know
    how long it takes, or is inside another library; a command that waits for input or reports otherwise needs none.
    """
    watched = terminal()
    if watched is None:
        return _Log(pulse)
    bars: dict[str, Callable[[int, int], None]] = {}

    def show(stage: str, done: int = 0, total: int = 0) -> None:
        if not total:
            click.echo(stage, file=watched)
            return
        if done:
            if stage not in bars:
                bars[stage] = _bar(stage)
            bars[stage](done, total)
        if done == total:
            bars.pop(stage, None)

    return show


class _Log:
    """For a log. The minute goes on from stage to stage."""

    def __init__(self, pulse: bool) -> None:
        self._quiet = Quiet()
        self._began = time.monotonic()
        self._state = ("", 0, 0)
        self._ended = threading.Event()
        self._pulse = pulse

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        self._state = (stage, done, total)
        if self._pulse:
            self._pulse = False
            self._start()
        if done and self._quiet.due():
            click.echo(f"{stage}: {done}/{total}  {100 * done // total}%", err=True)

    def pulse(self) -> None:
        """Say a line if one is due, whatever the work has told since the last one."""
        if not self._quiet.due():
            return
        (stage, done, total), minutes = self._state, (time.monotonic() - self._began) / 60
        where = f"after {stage}" if 0 < total == done else f"{stage}: {done}/{total}" if total else stage
        # The reader may have closed the stream; the command itself finds out.
        with contextlib.suppress(OSError, ValueError):
            click.echo(f"{where}, {minutes:.0f} min since the start", err=True)

    def _start(self) -> None:
        thread = threading.Thread(target=_beat, args=(weakref.ref(self), self._ended), name="progress", daemon=True)
        weakref.finalize(self, self._ended.set)

        def end() -> None:
            # A thread that writes while the interpreter ends can abort it.
            self._ended.set()
            if thread.ident is not None:  # Ctrl-C may come before it has started
                thread.join()

        if (context := click.get_current_context(silent=True)) is not None:
            context.call_on_close(end)
        thread.start()


def _beat(log: "weakref.ref[_Log]", ended: threading.Event) -> None:
    while not ended.wait(_PULSE_SECONDS):
        if (living := log()) is not None:
            living.pulse()
        del living


def _bar(label: str) -> Callable[[int, int], None]:
    """For a terminal: one line that is redrawn with the share done and the time left."""
    begin = time.monotonic()
    shown = 0.0

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total and now - shown < 0.1:
            return
        shown = now
        left = (now - begin) / done * (total - done)
        end = "\n" if done == total else ""
        click.echo(f"\r{label}: {done}/{total}  {100 * done // total}%  {left:.0f} s left   {end}", err=True, nl=False)

    return show
