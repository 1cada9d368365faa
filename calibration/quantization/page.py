"""The page of a quantization: scores, speed and size before and after, what was tried, and where the error is."""

import math
from collections.abc import Sequence

from calibration.quantization.report import METRIC_NAMES, GateResult, Quantization, Trial
from calibration.statistics.bootstrap import Drop
from calibration.statistics.score_drop import drop_in_words
from edge_qa.evaluation.evaluate import Evaluation, metric_name
from edge_qa.reporting import html
from edge_qa.reporting.html import Markup, Section
from edge_qa.system.machine import DISTURBED, measured_here


def quantization_page(result: Quantization) -> bytes:
    """Return the page, UTF-8."""
    sections = [Section("Before and after", tuple(_outcome(result)))]
    if result.gate is not None and result.gate.ranking_questions:
        sections.append(Section("Recipes tried", _trials(result.gate)))
    if result.products:
        sections.append(Section("Error of each matrix product", _products(result)))
    sections.append(Section("How it was made", (_recipe(result),)))
    return html.page(
        f"{result.path.name}: quantized to INT8",
        sections,
        lead=f"from {result.source_name}, by the recipe {result.recipe.name}",
        footer=f"edge-qa quantize: bundle {result.manifest.digest}; {measured_here()}",
    )


def _outcome(result: Quantization) -> list[Markup]:
    blocks = []
    sizes = (("before", result.source_bytes), ("after", result.written_bytes))
    if result.before is not None and result.after is not None:
        rows = [
            (when, *_cells(side), "" if side is result.before else str(side.speed), f"{size / 1e6:.1f} MB")
            for side, (when, size) in zip((result.before, result.after), sizes, strict=True)
        ]
        headers = ("", "EM", "F1", "median ms", "90 % ms", "mean ms", "speed (95 % interval)", "files")
        blocks.append(html.table(headers, rows, align="lrrrrrrr"))
        scores = result.after.scores
        texts = [f"{scores.questions} questions of {result.after.dataset}, one at a time, {metric_name(result.after)}."]
        if result.after.disturbed:
            texts.append(f"Warning: {DISTURBED}.")
        if result.gate is not None:
            texts += [_verdict(result.gate), *(f"Note: {note}." for note in result.gate.notes)]
        blocks.append(html.paragraphs(texts))
    else:
        blocks.append(html.table(("", "files"), [(when, f"{size / 1e6:.1f} MB") for when, size in sizes], align="lr"))
    blocks.append(html.paragraphs([f"Note: {note}." for note in result.notes]))
    return blocks


def _cells(side: Evaluation) -> tuple[str, ...]:
    values = (side.scores.exact_match, side.scores.f1, side.latency.p50_ms, side.latency.p90_ms, side.latency.mean_ms)
    return tuple(f"{value:.2f}" for value in values)


def _verdict(gate: GateResult) -> str:
    return (
        f"{METRIC_NAMES[gate.metric]} {drop_in_words(gate.drop, ' points')}, a drop of {gate.max_drop:g} was allowed "
        f"({gate.drop.questions} questions, {_method(gate.drop)})."
    )


def _method(drop: Drop) -> str:
    return "exact binomial bound" if drop.exact else "paired bootstrap"


def _trials(gate: GateResult) -> tuple[Markup, ...]:
    name = METRIC_NAMES[gate.metric]
    headers = ("recipe", "logit error", f"{name} drop, ranking", "median ms", "speed", f"{name} drop, evaluation", "")
    against = "the answers of the file" if gate.labelled else "the float model's own answers"
    note = (
        f"Ranking: {gate.ranking_questions} questions of the calibration file that calibrated nothing, against "
        f"{against}; there all recipes of a stage take turns, and times are measured. A recipe is ruled out where even "
        "the kind end of the drop's interval is beyond the limit. The evaluation file alone decides."
    )
    rows = [_trial(trial) for trial in gate.trials]
    return html.table(headers, rows, align="lrrrrrl"), html.paragraphs([note], note=True)


def _trial(trial: Trial) -> tuple[str, ...]:
    return (
        trial.recipe.name,
        f"{trial.logit_error:.2%}" if math.isfinite(trial.logit_error) else "-",
        "-" if trial.ranking is None else str(trial.ranking),
        "-" if trial.latency_ms is None else f"{trial.latency_ms:.2f}",
        "-" if trial.speed is None else f"{trial.speed:.2f}x",
        "-" if trial.evaluation is None else str(trial.evaluation),
        trial.verdict,
    )


def _products(result: Quantization) -> tuple[Markup, ...]:
    rows = [(_short(one.product), one.error, f"{one.error:.3%}") for one in result.products]
    label = "Change of the logits if only this product is quantized, a bar a product, the worst first"
    note = (
        "Root mean square change of the logits, relative to their own, if this product alone is quantized and "
        "everything else computes in float."
    )
    return html.figure(html.bars(rows, label=label)), html.paragraphs([note], note=True)


def _short(name: str) -> str:
    return name.removeprefix("encoder.").removesuffix(".matmul")


def _recipe(result: Quantization) -> Markup:
    options = result.manifest.lineage[-1].options
    rows: Sequence[tuple[str, str]] = sorted((key.replace("_", " "), value or "none") for key, value in options.items())
    return html.table(("", ""), rows)
