"""Options that several commands share."""

import math

import click

from edge_qa.bundle.manifest import FULL_BUDGET

budget_option = click.option(
    "--budget",
    default=FULL_BUDGET,
    show_default=True,
    metavar="NAME",
    help="Which of the bundle's token budgets answers; edge-qa inspect lists them.",
)

budgets_option = click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=[FULL_BUDGET],
    show_default=True,
    metavar="NAME",
    help="Token budget of the bundles; several take turns as well.",
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
    help='Answer "none" above this margin of logits; try 0.',
)


def finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no number, which click's ranges let through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"got {value}, wanted a number")
    return value
