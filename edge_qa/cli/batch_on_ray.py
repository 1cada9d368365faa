"""edge-qa batch --on ray."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_qa.cli.interruption import resumable
from edge_qa.cli.progress import progress_bars
from edge_qa.evaluation.answered_rows import AnswerOptions, lines_failed
from edge_qa.inference.engine_choice import EngineName
from edge_qa.integrations.ray_batch.batch import PART_LINES
from edge_qa.integrations.ray_batch.batch import batch_on_ray as run_batch
from edge_qa.integrations.ray_batch.worker import ModelOptions

if TYPE_CHECKING:
    from edge_qa.inference.engine import ComputePrecision


def batch_on_ray(
    bundle: Path,
    source: str,
    output: Path,
    options: AnswerOptions,
    *,
    precision: "ComputePrecision",
    budget: str,
    engine: EngineName,
    address: str | None,
    workers: int | None,
    threads: int | None,
    part_lines: int | None,
    resume: bool,
    force: bool,
) -> None:
    """Run the batch on a cluster, and say what was written."""
    with resumable(f"{output} holds the parts until then, and --resume goes on after them"):
        done = run_batch(
            bundle,
            source,
            output,
            options=options,
            model=ModelOptions(precision, budget, engine),
            address=address,
            workers=workers,
            threads=threads or 1,
            part_lines=part_lines or PART_LINES,
            resume=resume,
            force=force,
            progress=progress_bars(),
        )
    before = f", {done.resumed} of them there before" if done.resumed else ""
    click.echo(f"{done.path}: {done.lines} lines, {done.parts} parts{before}", err=True)
    if done.failed:
        raise lines_failed(done.failed, source)
