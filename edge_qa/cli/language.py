"""The option of the commands that compare answers; apart, so that a cold start of `ask` imports no metric."""

import click

from edge_qa.evaluation.segmentation import LANGUAGES

language_option = click.option(
    "--language",
    type=click.Choice(sorted(LANGUAGES)),
    help="Compare answers in the way of this language; by default the texts tell Chinese, Japanese and Thai.",
)
