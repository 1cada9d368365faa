"""edge-qa sparsify."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from calibration.sparsity.sparsification import BLOCKS, PATTERNS, Pattern, Sparsification
from converters.inspection.plain_words import percent
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH, finite
from edge_qa.cli.progress import progress_bars

_REMOVED = {"heads": "of all heads removed", "ffn": "of all feed-forward neurons removed"}


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--pattern",
    type=click.Choice(PATTERNS),
    required=True,
    help="Set weights to zero one by one (unstructured), in groups of 4 outputs x 1 input (1x4) or in "
    "blocks of 32x32, or cut out whole heads or feed-forward neurons (ffn). unstructured without "
    "--calibration needs the calibrate and torch extras.",
)
@click.option(
    "--ratio",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=finite,
    required=True,
    help="Remove this share of each matrix, or of all heads or neurons of the model.",
)
@click.option(
    "--calibration",
    type=PATH,
    help="Weigh each weight with the inputs that it meets on the questions of this file; by magnitude "
    "alone by default.",
)
@click.option(
    "--refit",
    is_flag=True,
    help="Remove the blocks that the outputs need least on --calibration, and refit the rest by least "
    "squares. It loses far less and takes minutes, for large models hours; nothing is refitted by "
    "default.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=128, show_default=True, help="Calibrate on this many questions."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draw the questions with this seed."
)
@click.option(
    "--least-heads",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Keep at least this many heads in each layer.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
def sparsify(
    checkpoint: Path,
    output: Path,
    pattern: Pattern,
    ratio: float,
    calibration: Path | None,
    refit: bool,
    samples: int,
    seed: int,
    least_heads: int,
    force: bool,
    as_json: bool,
) -> None:
    """Prune CHECKPOINT in one shot into the checkpoint OUTPUT, which converts like any other.

    Nothing is trained afterwards: convert the result and score it before you rely on it.
    """
    if refit and calibration is None:
        raise click.UsageError("--refit reads what goes through the model on --calibration FILE, which is not given.")
    if refit and pattern not in BLOCKS:
        raise click.UsageError(f"--refit is for {', '.join(BLOCKS)}; edge-qa shrink removes heads and neurons so.")
    from calibration.sparsity.sparsify import sparsify as run_sparsification  # here: --help must not need the extra

    begin = time.perf_counter()
    result = run_sparsification(
        checkpoint,
        output,
        pattern=pattern,
        ratio=ratio,
        calibration=calibration,
        refit=refit,
        samples=samples,
        seed=seed,
        least_heads=least_heads,
        force=force,
        progress=progress_bars(),
    )
    seconds = time.perf_counter() - begin
    if as_json:
        echo_json({"seconds": round(seconds, 3)} | asdict(result) | {"path": str(output)})
        return
    click.echo("\n".join([*_summary(result, output, seconds), "", *_table(result)]))


def _summary(result: Sparsification, output: Path, seconds: float) -> Iterator[str]:
    what = _REMOVED.get(result.pattern, "of the encoder's weights set to zero")
    used = result.calibration
    by = "|w|"
    if used is not None:
        by = f"{'least squares' if result.refitted else '|w| * ||x||'} over {used.samples} windows of {used.dataset}"
    yield f"{output}: {result.pattern}, {result.ratio:.2%} {what}, by {by}; {seconds:.1f} s"
    size = result.structure
    if size.changed:
        yield f"parameters: {size.parameters_before / 1e6:.2f} M -> {size.parameters_after / 1e6:.2f} M"
    ends = [tensor for tensor in result.tensors if any(tensor.outside)]
    if ends:
        first = ends[0]
        yield (
            f"{len(ends)} matrices are no multiple of the block, and their ends lose nothing: {first.name}, say, "
            f"is {first.shape_before[0]}x{first.shape_before[1]}, its last {first.outside[0]} outputs and "
            f"{first.outside[1]} inputs lie in no block"
        )
    yield "not trained afterwards: score it with edge-qa convert and edge-qa evaluate"


def _table(result: Sparsification) -> Iterator[str]:
    """A line for each layer: what was there, what is left, and how much of that is zero."""
    yield f"{'layer':>5}  {'heads':>8}  {'FFN neurons':>14}  {'zeros before':>12}  {'zeros after':>11}  removed heads"
    size = result.structure
    for index, removed in enumerate(result.removed_heads):
        heads = f"{size.heads_before[index]} -> {size.heads_after[index]}"
        widths = f"{sum(size.ffn_widths_before[index])} -> {sum(size.ffn_widths_after[index])}"
        before, after = (_zeros(result, index, when) for when in ("before", "after"))
        yield (f"{index:5}  {heads:>8}  {widths:>14}  {before:>12}  {after:>11}  {' '.join(map(str, removed)) or '-'}")


def _zeros(result: Sparsification, layer: int, when: str) -> str:
    """The share of zeros in the matrices of one layer, "before" or "after"."""
    zeros = weights = 0.0
    for tensor in result.tensors:
        if tensor.name.startswith(f"encoder.layer.{layer}."):
            rows, columns = getattr(tensor, f"shape_{when}")
            zeros += getattr(tensor, f"sparsity_{when}") * rows * columns
            weights += rows * columns
    return percent(zeros / weights) if weights else "no weights"
