"""Options that several commands share."""

import click

from edge_qa.manifest import FULL_BUDGET

budget_option = click.option(
    "--budget",
    default=FULL_BUDGET,
    show_default=True,
    metavar="NAME",
    help="Which of the bundle's token-drop budgets answers; edge-qa inspect lists them.",
)
