"""edge-qa mcp: an index of documents as tools of an assistant."""

from pathlib import Path
from typing import Literal

import click

from edge_qa.answerer import QuestionAnswerer
from edge_qa.cli.options import budget_option, engine_option, precision_option
from edge_qa.cli.parameters import PATH
from edge_qa.documents.index import DocumentIndex
from edge_qa.inference.engine_choice import EngineName


@click.command()
@click.argument("library", type=PATH)
@click.option("--bundle", required=True, type=PATH, help="Answer with the model in this bundle.")
@precision_option
@engine_option
@click.option(
    "--threads", type=click.IntRange(min=1), help="Use this many cores; all that this process may use by default."
)
@click.option(
    "--cache",
    type=click.Path(readable=False),
    envvar="EDGE_QA_CACHE",
    metavar="FOLDER",
    help="Keep the compiled model in this existing folder, so that the next start is faster.  [env: EDGE_QA_CACHE]",
)
@budget_option
def mcp(
    library: Path,
    bundle: Path,
    precision: Literal["f32", "bf16"],
    engine: EngineName,
    threads: int | None,
    cache: str | None,
    budget: str,
) -> None:
    """Serve LIBRARY, which edge-qa index made, to an assistant over standard input and output.

    The Model Context Protocol's tools `search` and `ask` return passages and answers with their place. An update of
    LIBRARY is seen by the next call. Needs the extra `mcp`.
    """
    # Imported here, so that --help needs no extra.
    from edge_qa.integrations.mcp_server import document_server

    with (
        DocumentIndex.open(library) as index,
        QuestionAnswerer.load(
            bundle, threads=threads, precision=precision, cache=cache, budget=budget, engine=engine
        ) as answerer,
    ):
        document_server(index, answerer).run("stdio")
