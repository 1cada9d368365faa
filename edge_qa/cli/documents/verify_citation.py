"""edge-qa verify-citation: do answers that were given still stand in their files?"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edge_qa.cli.app import echo_json
from edge_qa.cli.documents.printing import printable
from edge_qa.cli.parameters import PATH
from edge_qa.documents.citations import CitationCheck
from edge_qa.documents.citations import verify_citation as verify
from edge_qa.documents.index import DocumentIndex
from edge_qa.errors import InputError


@click.command("verify-citation")
@click.argument("library", type=PATH)
@click.argument("citation", metavar="CITATION.json|-")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON instead of text.")
def verify_citation(library: Path, citation: str, as_json: bool) -> None:
    """Check that the answers in CITATION.json, which edge-qa ask --json printed, still stand in their files.

    Each one holds (the file is unchanged), has moved (the file changed and still says it), or is gone. Exit
    code 1 if one is gone.
    """
    with DocumentIndex.open(library) as index:
        checks = [verify(index, one) for one in _citations(_read(citation))]
    if not checks:
        raise InputError(
            "holds no answer with a source (an answer of none has none)",
            where=citation,
            remedy="give what edge-qa ask --json printed of an answer",
        )
    if as_json:
        echo_json([asdict(check) for check in checks])
    for check in [] if as_json else checks:
        click.echo(printable(_line(check)))
    if not all(check.holds for check in checks):
        click.get_current_context().exit(1)


def _line(check: CitationCheck) -> str:
    where = "" if check.start is None else f"  characters {check.start}-{check.end}"
    return f"{check.verdict}  {check.path}{where}: {' '.join(check.text.split())}  ({check.reason})"


def _read(name: str) -> Any:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return json.loads(content)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=name, remedy="give a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON ({error})", where=name, remedy="give what edge-qa ask --json printed") from None


def _citations(value: Any) -> Iterator[dict[str, Any]]:
    """One answer, the answers of a question, or those of several; answers of "none" cite nothing."""
    if isinstance(value, list):
        for one in value:
            yield from _citations(one)
    elif isinstance(value, dict) and "answers" in value:
        yield from _citations(value["answers"])
    elif not (isinstance(value, dict) and "source" in value and value["source"] is None):
        yield value
