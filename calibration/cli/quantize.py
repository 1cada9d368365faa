"""edge-qa quantize."""

import math
import time
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from calibration.quantization.options import AccuracyGate, QuantizationOptions
from calibration.quantization.page import quantization_page
from calibration.quantization.report import METRIC_NAMES, GateResult, Quantization
from calibration.statistics.score_drop import drop_in_words
from edge_qa.bundle.manifest import PACKED_MODEL, Manifest, Target
from edge_qa.cli.app import echo_json
from edge_qa.cli.evaluate import table
from edge_qa.cli.language import language_option
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars, terminal
from edge_qa.evaluation.squad_metric import Metric
from edge_qa.files import check_file, write_file

# Options that say something about calibration, or about which CPUs OpenVINO's sums fit, or are fitted to its logits.
_OPENVINO_ONLY = ("calibration", "samples", "target", "seed", "confidence", "no_confidence")
_METRICS: dict[str, Metric] = {"f1": "f1", "em": "exact_match"}


def _points(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"got {value}, wanted percent points, 0 or more")
    return value


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--calibration",
    type=PATH,
    help="Calibrate on the questions of this file: SQuAD, JSON lines, or plain text (.txt); answers are not needed. "
    "Only --engine native does without.",
)
@click.option(
    "--engine",
    type=click.Choice(["openvino", "native"]),
    default="openvino",
    show_default=True,
    help="Quantize for this engine; native calibrates on nothing, and leaves the FP16 model beside its own.",
)
@click.option(
    "--evaluation",
    type=PATH,
    help="Score and time both bundles on this SQuAD file or on these JSON lines; nothing is scored by default.",
)
@click.option(
    "--max-drop",
    type=float,
    callback=_points,
    metavar="POINTS",
    help="Try recipes until one loses at most this many percent points of the score on --evaluation; there "
    "is no gate by default.",
)
@click.option(
    "--confidence",
    type=PATH,
    help="Fit how sure the answers are on this file of questions with answers, as calibrate-confidence does; by "
    "default on the calibration file, if it has answers to 1,000 questions or more.",
)
@click.option("--no-confidence", is_flag=True, help="Fit no confidence.")
@click.option("--metric", type=click.Choice(sorted(_METRICS)), help="Judge --max-drop by this score; f1 by default.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=QuantizationOptions.samples,
    show_default=True,
    help="Calibrate on this many questions.",
)
@click.option(
    "--target",
    type=click.Choice(["any", "avx2", "vnni"]),
    default="any",
    show_default=True,
    help="Quantize for these CPUs: any, and avx2 with the same weights, are right on every CPU, vnni only "
    "on CPUs with VNNI.",
)
@language_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Evaluate on this many questions, spread over the file; on all by default.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draw the questions with this seed."
)
@click.option(
    "--html",
    type=PATH,
    metavar="FILE",
    help="Write a page with the scores and the error of each matrix product to this file; none by default.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT and the page if they exist; they are refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
def quantize(
    bundle: Path,
    output: Path,
    calibration: Path | None,
    engine: Literal["openvino", "native"],
    evaluation: Path | None,
    max_drop: float | None,
    confidence: Path | None,
    no_confidence: bool,
    metric: str | None,
    samples: int,
    target: Target,
    language: str | None,
    limit: int | None,
    seed: int,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn BUNDLE into the INT8 bundle OUTPUT: half the size, about twice the speed.

    With --engine native OUTPUT is BUNDLE with an 8-bit model for the native engine added; no data is needed.

    With --max-drop it is written only if the score holds; otherwise the exit code is 1.
    """
    if calibration is None and engine == "openvino":
        raise click.UsageError("Missing option '--calibration'.")
    asked = click.get_current_context()
    given = [
        f"--{name.replace('_', '-')}"
        for name in _OPENVINO_ONLY
        if asked.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if given and engine == "native":
        raise click.UsageError(f"{given[0]} is for --engine openvino; native calibrates on nothing and runs anywhere.")
    if confidence is not None and no_confidence:
        raise click.UsageError("--confidence and --no-confidence exclude each other.")
    if max_drop is not None and evaluation is None:
        raise click.UsageError("--max-drop is judged on --evaluation FILE, which is not given.")
    if metric is not None and max_drop is None:
        raise click.UsageError("--metric says what --max-drop is about, which is not given.")
    if html is not None:
        read = [bundle, *(file for file in (calibration, evaluation, confidence) if file)]
        check_file(html, force=force, sources=read, others=[output])
    from calibration.quantization.quantize import quantize as run_quantization  # here: --help must not need the extra

    begin = time.perf_counter()
    result = run_quantization(
        bundle,
        output,
        calibration=calibration,
        engine=engine,
        evaluation=evaluation,
        confidence=confidence,
        options=QuantizationOptions(samples=samples, target=target, seed=seed, confidence=not no_confidence),
        gate=None if max_drop is None else AccuracyGate(max_drop, _METRICS[metric or "f1"]),
        limit=limit,
        language=language,
        product_errors=html is not None and engine == "openvino",
        force=force,
        progress=progress_bars(),
        bars=terminal(),
    )
    seconds = time.perf_counter() - begin
    if html is not None:
        write_file(html, quantization_page(result))
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        echo_json(result.as_json() | {"bundle": str(output), "seconds": round(seconds, 3)})
        return
    click.echo(f"{output}: {_made(result)}, {seconds:.1f} s")
    if (record := result.manifest.confidence) is not None:
        click.echo(
            f"confidence fitted on {record.dataset}, {record.questions} questions, expected calibration error "
            f"{record.expected_calibration_error:.3f}"
        )
    if result.before is not None and result.after is not None:
        click.echo(table([result.before, result.after]))
    if result.gate is not None:
        click.echo("\n".join([_met(result, result.gate), *(f"note: {note}" for note in result.gate.notes)]))


def size_mb(manifest: Manifest) -> float:
    """The size of a bundle's files in MB (10^6 bytes)."""
    return sum(record.bytes for record in manifest.files.values()) / 1e6


def _made(result: Quantization) -> str:
    if result.engine == "openvino":
        return f"INT8, {size_mb(result.manifest):.1f} MB, {result.samples} samples"
    packed = result.manifest.files[PACKED_MODEL].bytes / 1e6
    return f"INT8 for the native engine, {packed:.1f} MB of {size_mb(result.manifest):.1f} MB, no samples"


def _met(result: Quantization, gate: GateResult) -> str:
    return (
        f"{METRIC_NAMES[gate.metric]} {drop_in_words(gate.drop)}, a drop of {gate.max_drop:g} allowed; "
        f"recipe {result.recipe.name}, {len(gate.trials)} tried"
    )
