"""edge-qa doctor: is this machine fit, and would a bundle run right on it?"""

import textwrap
from dataclasses import asdict
from pathlib import Path

import click

from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH
from edge_qa.diagnosis.doctor import Diagnosis, diagnose
from edge_qa.diagnosis.finding import Finding

_COLUMN = 11


@click.command()
@click.argument("bundle", required=False, type=PATH)
@click.option(
    "--measure", is_flag=True, help="Time an f32 and an INT8 matrix product on the spot; nothing is timed by default."
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON instead of text.")
def doctor(bundle: Path | None, measure: bool, as_json: bool) -> None:
    """Say what this machine is, what it gains from INT8 and sparsity, and whether BUNDLE runs right on it.

    Exit code 1 if a problem was found.
    """
    diagnosis = diagnose(bundle, measure)
    if as_json:
        echo_json(asdict(diagnosis))
    else:
        click.echo("\n".join(_text(diagnosis)))
    if not diagnosis.well:
        raise click.exceptions.Exit(1)


def _text(diagnosis: Diagnosis) -> list[str]:
    """The findings by topic, each with its remedy below."""
    lines = []
    topic = ""
    for finding in diagnosis.findings:
        lines += _wrapped(finding.topic if finding.topic != topic else "", _line(finding))
        topic = finding.topic
        if finding.remedy:
            lines += _wrapped("", f"-> {finding.remedy}")
    problems = sum(finding.level == "problem" for finding in diagnosis.findings)
    return [*lines, *_wrapped("verdict", "all is well" if diagnosis.well else f"problems: {problems}")]


def _wrapped(topic: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        110,
        initial_indent=f"{topic:{_COLUMN}}",
        subsequent_indent=" " * (_COLUMN + 3),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(finding: Finding) -> str:
    mark = "" if finding.level == "fact" else f"{finding.level}: "
    origin = "" if finding.origin == "this machine" else f" [{finding.origin}]"
    return f"{mark}{finding.text}{origin}"
