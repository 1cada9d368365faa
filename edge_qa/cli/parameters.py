"""Kinds of parameters that many commands take; nothing heavy comes with them."""

import math
from pathlib import Path

import click

# What cannot be read is said by what reads it, with the exit code of a file that is missing; click would say usage.
PATH = click.Path(path_type=Path, readable=False)


def finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no number, which click's ranges let through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"got {value}, wanted a number")
    return value
