"""edge-qa shrink."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from calibration.shrinking.latency_model import LatencyPrecision
from calibration.shrinking.report import Shrinking
from calibration.shrinking.shrinker import METHODS, Method
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH, finite
from edge_qa.cli.progress import progress_bars


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--calibration",
    required=True,
    type=PATH,
    help="Calibrate on the questions of this SQuAD file or of these JSON lines; answers are needed but for "
    "--method magnitude.",
)
@click.option(
    "--speedup",
    type=click.FloatRange(min=1, min_open=True),
    callback=finite,
    help="Make the layers this many times as fast, by latency measured on this CPU; give this, or "
    "--evaluation and --max-drop.",
)
@click.option(
    "--evaluation",
    type=PATH,
    help="Find the largest speed-up that --max-drop allows on the questions of this file.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    callback=finite,
    metavar="POINTS",
    help="Lose at most this many points of F1 on --evaluation.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Evaluate on this many questions, spread over the file; on all by default.",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="full",
    show_default=True,
    help="Choose what goes by the size of weights (magnitude), by Fisher information (fisher), or by the "
    "same, rearranged and refitted (full); the last two need the torch extra.",
)
@click.option(
    "--precision",
    type=click.Choice(["f32", "int8"]),
    default="f32",
    show_default=True,
    help="Measure latency in this precision; int8 is for models that will be quantized, and needs the calibrate extra.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=2000, show_default=True, help="Calibrate on this many questions."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draw the questions with this seed."
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, with the table of costs, instead of text."
)
def shrink(
    checkpoint: Path,
    output: Path,
    calibration: Path,
    speedup: float | None,
    evaluation: Path | None,
    max_drop: float | None,
    limit: int | None,
    method: Method,
    precision: LatencyPrecision,
    samples: int,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Remove heads and neurons of CHECKPOINT into the smaller checkpoint OUTPUT, without training, in minutes.

    Give --speedup, or --evaluation and --max-drop.
    """
    if (speedup is None) == (max_drop is None) or (evaluation is None) != (max_drop is None):
        raise click.UsageError("give either --speedup, or --evaluation and --max-drop")
    from calibration.shrinking.shrink import shrink as run_shrinking  # here: --help must not need the extra

    begin = time.perf_counter()
    result = run_shrinking(
        checkpoint,
        output,
        calibration=calibration,
        speedup=speedup,
        evaluation=evaluation,
        max_drop=max_drop,
        limit=limit,
        method=method,
        precision=precision,
        samples=samples,
        seed=seed,
        force=force,
        progress=progress_bars(),
    )
    seconds = time.perf_counter() - begin
    if as_json:
        echo_json(_values(result, seconds) | {"path": str(output)})
        return
    click.echo("\n".join([*_summary(result, output, seconds), "", *_table(result)]))


def _values(result: Shrinking, seconds: float) -> dict[str, Any]:
    timing = asdict(result.timing) | {"measured": result.timing.measured}
    return {"seconds": round(seconds, 3)} | asdict(result) | {"timing": timing}


def _summary(result: Shrinking, output: Path, seconds: float) -> Iterator[str]:
    timing, size = result.timing, result.structure
    yield (
        f"{output}: {result.method}, {result.calibration.samples} windows of {result.calibration.dataset}; "
        f"{seconds:.1f} s"
    )
    yield (
        f"speed-up: {timing.predicted:.2f}x predicted, {timing.measured:.2f}x measured ({timing.dense_ms:.2f} -> "
        f"{timing.shrunk_ms:.2f} ms in {timing.precision} at {timing.tokens} tokens)"
    )
    if not sum(size.heads_after):
        yield "note: no attention head is left, so no token knows of another; ask for less"
    yield f"parameters: {size.parameters_before / 1e6:.2f} M -> {size.parameters_after / 1e6:.2f} M"
    if result.before is not None and result.after is not None:
        yield f"F1: {result.before.f1:.2f} -> {result.after.f1:.2f} ({result.after.questions} questions)"
        yield from (f"note: {note}" for note in result.notes)
    else:
        yield "not trained afterwards: score it with edge-qa convert and edge-qa evaluate"


def _table(result: Shrinking) -> Iterator[str]:
    """A line for each layer: what was there and what is left."""
    size = result.structure
    yield f"{'layer':>5}  {'heads':>8}  {'FFN neurons':>14}  removed heads"
    for index, removed in enumerate(result.removed_heads):
        heads = f"{size.heads_before[index]} -> {size.heads_after[index]}"
        widths = f"{sum(size.ffn_widths_before[index])} -> {sum(size.ffn_widths_after[index])}"
        yield f"{index:5}  {heads:>8}  {widths:>14}  {' '.join(map(str, removed)) or '-'}"
