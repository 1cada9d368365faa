"""edge-qa index: folders of documents into one file that can be searched and asked."""

from dataclasses import asdict
from pathlib import Path

import click

from edge_qa.cli.app import echo_json
from edge_qa.cli.documents.printing import printable
from edge_qa.cli.interruption import resumable
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars
from edge_qa.documents.folders import ReadingOptions
from edge_qa.documents.index import DocumentIndex
from edge_qa.documents.update import UpdateReport

_MEBIBYTE = 2**20


@click.command()
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="FOLDER...")
@click.argument("library", type=PATH)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Read only files that match, such as '*.md' or 'reports/*'; all of a known format by default.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files and folders that match.")
@click.option("--latin-1", is_flag=True, help="Take text that is not UTF-8 for Latin-1 instead of reporting it.")
@click.option(
    "--max-file-mib",
    type=click.IntRange(1, 2**30),
    metavar="MIB",
    help=f"Report files larger than this, do not read them; {ReadingOptions.max_file_bytes // _MEBIBYTE} by default.",
)
@click.option(
    "--forget", is_flag=True, help="Take each FOLDER out of the index instead, whether it is still there or not."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON instead of text.")
def index(
    folders: tuple[Path, ...],
    library: Path,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    latin_1: bool,
    max_file_mib: int | None,
    forget: bool,
    as_json: bool,
) -> None:
    """Index the documents in each FOLDER into the file LIBRARY.

    Run again, it reads only files that changed, and takes out those that are gone; with no option it keeps those of
    the last run. A file that cannot be read is reported and does not stop the rest.
    """
    if forget:
        with DocumentIndex.open(library) as opened:
            count = opened.forget(folders)
        if as_json:
            echo_json({"library": str(library), "forgotten": count})
        else:
            click.echo(printable(f"{library}: {count} file{'s' * (count != 1)} forgotten"))
        return
    options = None
    if include or exclude or latin_1 or max_file_mib is not None:
        most = ReadingOptions.max_file_bytes if max_file_mib is None else max_file_mib * _MEBIBYTE
        options = ReadingOptions(include, exclude, latin_1, most)
    with (
        resumable(f"{library} holds what was read until then, and the same command goes on"),
        DocumentIndex.build(folders, library, options=options, progress=progress_bars()) as built,
    ):
        report = built.report
        kept = built.reading_options() if options is None else None
    assert report is not None
    if as_json:
        echo_json({"library": str(library), **asdict(report)})
        return
    for problem in report.problems:
        click.echo(printable(f"not read: {problem.path}: {problem.reason}"), err=True)
    if not latin_1 and any("is not UTF-8" in problem.reason for problem in report.problems):
        click.echo("--latin-1 takes text that is not UTF-8 for Latin-1", err=True)
    if kept is not None and kept.include:
        patterns = ", ".join(kept.include)
        note = f"note: only what matches {patterns} was read, as in the last run; --max-file-mib 64 forgets that"
        click.echo(printable(note), err=True)
    click.echo(printable(f"{library}: {_summary(report)}"))


def _summary(report: UpdateReport) -> str:
    done = ", ".join(
        f"{count} {what}"
        for what, count in (
            ("added", report.added),
            ("changed", report.changed),
            ("removed", report.removed),
            ("unchanged", report.unchanged),
            ("not read", len(report.problems)),
        )
        if count
    )
    held = f"{report.files} files in {report.passages} passages"
    return f"{held} ({done or 'nothing found'}; {report.bytes_read / 1e6:.1f} MB read in {report.seconds:.1f} s)"
