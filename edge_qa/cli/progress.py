"""Progress on stderr: a line that is redrawn on a terminal, and elsewhere a line a minute."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import click

from edge_qa.progress import Progress


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


def progress_bars() -> Progress:
    """Return what shows the progress of a command: a bar for each stage, begun anew when the stage is.

    A stage of unknown length is a line on a terminal, and nothing elsewhere.
    """
    bars: dict[str, Callable[[int, int], None]] = {}
    quiet, watched = Quiet(), terminal()

    def show(stage: str, done: int = 0, total: int = 0) -> None:
        if not total:
            if watched is not None:
                click.echo(stage, file=watched)
            return
        if done:
            if stage not in bars:
                bars[stage] = _lines(stage, quiet) if watched is None else _bar(stage)
            bars[stage](done, total)
        if done == total:
            bars.pop(stage, None)

    return show


def _lines(label: str, quiet: Quiet) -> Callable[[int, int], None]:
    """For a log. quiet: shared by stages that follow each other."""

    def tell(done: int, total: int) -> None:
        if quiet.due():
            click.echo(f"{label}: {done}/{total}  {100 * done // total}%", err=True)

    return tell


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
