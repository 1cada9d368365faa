"""Options that several commands share."""

import math
from collections.abc import Callable
from typing import Any

import click

from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.cli.parameters import finite
from edge_qa.inference.engine_choice import ENGINES
from edge_qa.inference.reading import Shortlisting

budget_option = click.option(
    "--budget",
    default=FULL_BUDGET,
    show_default=True,
    metavar="NAME",
    help="Answer with this token budget of the bundle; edge-qa inspect lists them.",
)

cache_option = click.option(
    "--cache",
    type=click.Path(readable=False),
    envvar="EDGE_QA_CACHE",
    metavar="FOLDER",
    help="Keep the compiled model in this existing folder, so that the next start is faster; nothing is "
    "kept by default.  [env: EDGE_QA_CACHE]",
)

budgets_option = click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=[FULL_BUDGET],
    show_default=True,
    metavar="NAME",
    help="Run the bundles with this token budget; give it several times, and the budgets take turns.",
)


def no_nan(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse "nan", which no comparison is true of; inf and -inf may mean always and never."""
    if value is not None and math.isnan(value):
        raise click.BadParameter(f"got {value}, wanted a number")
    return value


no_answer_option = click.option(
    "--no-answer-threshold",
    type=float,
    callback=no_nan,
    metavar="MARGIN",
    help='Answer "none" above this margin of logits, 0 for a start; the bundle\'s own threshold by default, '
    "mostly none.",
)


precision_option = click.option(
    "--precision",
    type=click.Choice(["f32", "bf16"]),
    default="f32",
    show_default=True,
    help="Compute in this precision; bf16 is faster where the CPU has it and changes scores a little.",
)

engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    envvar="EDGE_QA_ENGINE",
    help="Run the model with this engine; auto is native where edge-qa-kernels is installed and the model is packed.",
)


def _shortlist(_context: click.Context, _option: click.Parameter, value: str) -> Shortlisting:
    """Return a number of windows, "auto", or None for all."""
    if value in ("auto", "all"):
        return None if value == "all" else "auto"
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"got {value!r}, wanted a number of windows from 1 on, auto or all")
    return int(value)


_LIMITS = (
    click.option(
        "--shortlist",
        callback=_shortlist,
        default="auto",
        show_default=True,
        metavar="WINDOWS|all",
        help="Read only so many windows, those that share most rare words with the question; auto reads 4 of a text of "
        "more than 20,000 characters unless another limit is given, and all of a shorter one.",
    ),
    click.option(
        "--max-windows",
        type=click.IntRange(min=1),
        metavar="WINDOWS",
        help="Stop reading a text after this many windows; no limit by default.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        callback=finite,
        metavar="SECONDS",
        help="Stop reading a text after this time; no limit by default.",
    ),
    click.option(
        "--max-question-len",
        type=click.IntRange(min=1),
        metavar="TOKENS",
        help="Cut longer questions at this length; the bundle's default, mostly 64.",
    ),
)


min_confidence_option = click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    callback=no_nan,
    metavar="SHARE",
    help='Answer "none" rather than with less confidence, 0 to 1; the bundle must have one (calibrate-confidence).',
)

within_option = click.option(
    "--within",
    type=click.Choice(["block", "text"]),
    default="block",
    show_default=True,
    help="Give no answer that crosses a paragraph, list item, table row or heading; or any in the text.",
)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what limits the reading of a question and its text."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command
