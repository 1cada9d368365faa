"""edge-qa search: the passages of an index that fit some words."""

from pathlib import Path
from typing import Any

import click

from edge_qa.cli.app import echo_json
from edge_qa.cli.documents.printing import printable
from edge_qa.cli.parameters import PATH
from edge_qa.documents.found import Passage
from edge_qa.documents.index import DocumentIndex

# Characters of a passage that are shown.
_SHOWN = 240


@click.command()
@click.argument("library", type=PATH)
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Show this many passages.")
@click.option("--json", "as_json", is_flag=True, help="Print whole passages as JSON instead of their beginnings.")
def search(library: Path, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Show the passages of LIBRARY that fit WORDS best. Exit code 1 if none does."""
    with DocumentIndex.open(library) as index:
        passages = index.search(" ".join(words), limit=limit)
    if as_json:
        echo_json([_as_json(passage) for passage in passages])
    for passage in [] if as_json else passages:
        click.echo(printable(_line(passage)))
    if not passages:
        click.echo(printable(f"nothing in {library} fits these words"), err=True)
        click.get_current_context().exit(1)


def _as_json(passage: Passage) -> dict[str, Any]:
    return {
        "path": passage.file.path,
        "sha256": passage.file.sha256,
        "title": passage.file.title,
        "heading": passage.heading,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "score": passage.closeness.score,
        "bm25": passage.closeness.bm25,
        "text": passage.text,
    }


def _line(passage: Passage) -> str:
    page = "" if passage.page is None else f"  page {passage.page}"
    heading = f"  {passage.heading}" if passage.heading else ""
    text = " ".join(passage.text.split())
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{passage.file.path}{page}  characters {passage.start}-{passage.end}{heading}\n    {shown}"
