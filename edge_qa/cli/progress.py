"""Progress on stderr, and only on a terminal."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import click


def terminal() -> TextIO | None:
    """Return stderr if somebody watches it, for libraries that draw their own bars."""
    return sys.stderr if sys.stderr.isatty() else None


def progress_bar(label: str) -> Callable[[int, int], None]:
    """Return a callback (done, total) that redraws one line with the share done and the time left."""
    if not sys.stderr.isatty():
        return lambda done, total: None
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

    def show(stage: str, done: int, total: int) -> None:
        if done:
            bars.setdefault(stage, progress_bar(stage))(done, total)
        if done == total:
            bars.pop(stage, None)

    return show
