"""Progress on stderr: a line that is redrawn on a terminal, and elsewhere a line a minute."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import click


def terminal() -> TextIO | None:
    """Return stderr if somebody watches it, for libraries that draw their own bars."""
    return sys.stderr if sys.stderr.isatty() else None


_LINE_SECONDS = 60.0


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


def progress_bar(label: str, quiet: Quiet | None = None) -> Callable[[int, int], None]:
    """Return a callback (done, total) that redraws one line with the share done and the time left.

    quiet: shared by the bars of stages that follow each other, for where nobody watches.
    """
    if not sys.stderr.isatty():
        lines = quiet or Quiet()

        def tell(done: int, total: int) -> None:
            if lines.due():
                click.echo(f"{label}: {done}/{total}  {100 * done // max(1, total)}%", err=True)

        return tell
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


def stage_bars() -> Callable[[str, int, int], None]:
    """Return a callback (stage, done, total) that draws a bar for each stage, begun anew when the stage is."""
    bars: dict[str, Callable[[int, int], None]] = {}
    quiet = Quiet()

    def show(stage: str, done: int, total: int) -> None:
        if done:
            bars.setdefault(stage, progress_bar(stage, quiet))(done, total)
        if done == total:
            bars.pop(stage, None)

    return show
