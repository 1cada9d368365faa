"""The page of a bench report: tables, and latency against length as a plot. Offline, nothing to load."""

import math
from collections.abc import Sequence

from edge_qa.bench.report import BenchReport, BundleBench, Timing, describe_machine, warning
from edge_qa.reporting import html
from edge_qa.reporting.html import Markup, Section
from edge_qa.system.machine import measured_here

_WIDTH, _HEIGHT = 860, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 44
_COLOURS = ("var(--accent)", "var(--warn)", "#2a9d5c", "#a04fc4", "var(--second)", "var(--ink)")


def bench_page(report: BenchReport) -> bytes:
    """Return the page, UTF-8."""
    said = warning(report)
    sections = [
        Section("Machine", (html.paragraphs([*describe_machine(report), *([f"Warning: {said}."] if said else [])]),))
    ]
    timed = [index for index, timing in enumerate(report.bundles[0].timings) if timing.tokens is not None]
    if len({report.bundles[0].timings[index].tokens for index in timed}) > 1:
        sections.append(Section("Latency against length", _plot(report.bundles, timed)))
    if report.bundles[0].timings:
        sections.append(Section("Latency", (_latencies(report.bundles), html.paragraphs([_LATENCY_NOTE], note=True))))
    if report.bundles[0].start is not None:
        sections.append(Section("Cold start and memory", _starts(report.bundles)))
    sections.append(Section("Bundles", (_bundles(report.bundles),)))
    settings, bundles = report.settings, len({bundle.bundle for bundle in report.bundles})
    data = "" if settings.data is None else f", {settings.data} (sha256 {settings.data_sha256})"
    return html.page(
        "Question answering: how fast",
        sections,
        lead=f"{bundles} bundle{'s' * (bundles > 1)} on {report.machine.cpu}",
        footer=f"edge-qa bench: repeat {settings.repeat}, seed {settings.seed}{data}; {measured_here()}",
    )


_LATENCY_NOTE = (
    "Milliseconds a question, one at a time, end to end: tokenizing and windows, inference, choice of the span. "
    "The three means add up to the mean. Bulk: questions a second when all are asked at once. "
    "Speed: the first bundle's median over this one's."
)


def _plot(bundles: Sequence[BundleBench], timed: Sequence[int]) -> tuple[Markup, ...]:
    """Median (line) and 90th percentile (dashes) against true length, a colour a bundle."""
    series = [sorted((bundle.timings[i] for i in timed), key=lambda timing: timing.mean_tokens) for bundle in bundles]
    longest = max(timing.mean_tokens for timings in series for timing in timings)
    slowest = max(timing.end_to_end.p90_ms for timings in series for timing in timings)
    columns, rows = _ticks(longest), _ticks(slowest)

    def x(tokens: float) -> float:
        return _LEFT + tokens / columns[-1] * (_WIDTH - _LEFT - _RIGHT)

    def y(milliseconds: float) -> float:
        return _HEIGHT - _BOTTOM - milliseconds / rows[-1] * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in columns:
        parts.append(_line([(x(tick), y(0)), (x(tick), y(rows[-1]))], "var(--line)", 1))
        parts.append(html.text(x(tick), y(0) + 16, f"{tick:g}", class_="soft middle"))
    for tick in rows:
        parts.append(_line([(x(0), y(tick)), (x(columns[-1]), y(tick))], "var(--line)", 1))
        parts.append(html.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", class_="soft end"))
    parts.append(
        html.text(x(columns[-1] / 2), _HEIGHT - 8, "tokens of the question and its text", class_="soft middle")
    )
    parts.append(html.text(_LEFT + 6, _TOP + 14, "milliseconds a question", class_="soft"))
    legend = []
    for number, (bundle, timings) in enumerate(zip(bundles, series, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        median = [(x(timing.mean_tokens), y(timing.end_to_end.p50_ms)) for timing in timings]
        slow = [(x(timing.mean_tokens), y(timing.end_to_end.p90_ms)) for timing in timings]
        parts.append(_line(slow, colour, 1, dashes="3 4"))
        parts.append(_line(median, colour, 2))
        parts += [html.element("circle", cx=cx, cy=cy, r=3.5, style=f"fill: {colour}") for cx, cy in median]
        mark = html.svg(24, 12, _line([(0, 6), (24, 6)], colour, 2), label="")
        legend.append((Markup(mark), bundle.name))
    picture = html.svg(_WIDTH, _HEIGHT, *parts, label="Median milliseconds a question against tokens, a line a bundle")
    note = "Line: median. Dashes: 90th percentile."
    return (html.figure(picture, html.table(("", ""), legend), html.paragraphs([note], note=True)),)


def _line(points: Sequence[tuple[float, float]], colour: str, width: int, *, dashes: str = "") -> Markup:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    style = f"fill: none; stroke: {colour}; stroke-width: {width}" + (f"; stroke-dasharray: {dashes}" if dashes else "")
    return html.element("path", d=path, style=style)


def _ticks(largest: float) -> list[float]:
    """Round numbers from 0 to at least `largest`, four to eight of them."""
    rough = max(largest, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    return [step * count for count in range(math.ceil(largest / step - 1e-9) + 1)]


def _latencies(bundles: Sequence[BundleBench]) -> Markup:
    headers = ("questions", "bundle", "p50", "p90", "p99", "mean", "tokenize", "inference", "spans", "bulk", "speed")
    rows = []
    for index in range(len(bundles[0].timings)):
        for number, bundle in enumerate(bundles):
            timing = bundle.timings[index]
            rows.append((_workload(timing) if number == 0 else "", bundle.name, *_cells(timing)))
    return html.table(headers, rows, align="llrrrrrrrrr")


def _workload(timing: Timing) -> str:
    windows = "" if timing.tokens else f", {timing.mean_windows:.2f} windows of {timing.mean_tokens:.0f} tokens"
    return f"{timing.workload} ({timing.samples} samples{windows})"


def _cells(timing: Timing) -> tuple[str, ...]:
    whole = timing.end_to_end
    parts = (timing.tokenize, timing.inference, timing.spans)
    return (
        *(f"{value:.2f}" for value in (whole.p50_ms, whole.p90_ms, whole.p99_ms, whole.mean_ms)),
        *(f"{part.mean_ms:.2f}" for part in parts),
        f"{timing.questions_per_second:.1f}",
        f"{timing.speed:.2f}x",
    )


def _starts(bundles: Sequence[BundleBench]) -> tuple[Markup, ...]:
    headers = (
        "bundle",
        "total",
        "Python",
        "imports",
        "hash",
        "tokenizer",
        "compile",
        "answer",
        "memory",
        "every length",
    )
    rows, totals = [], []
    for bundle in bundles:
        start = bundle.start
        if start is None:
            continue
        parts = (start.interpreter_ms, start.imports_ms, start.hash_ms, start.tokenizer_ms, start.compile_ms)
        times = (start.total_ms, *parts, start.first_answer_ms)
        memory = (_megabytes(bundle.peak_bytes), _megabytes(bundle.every_length_peak_bytes))
        rows.append((bundle.name, *(f"{value:.0f}" for value in times), *memory))
        totals.append((bundle.name, start.total_ms, f"{start.total_ms:.0f} ms"))
    note = (
        f"Milliseconds from the start of a process to its first answer, the median of {bundles[0].starts} processes, "
        "files in the page cache. Memory: the process's peak in MB, at the first answer and after every input length."
    )
    chart = html.bars(totals, label="Milliseconds from the start of a process to its first answer")
    return html.figure(chart), html.table(headers, rows, align="lrrrrrrrrr"), html.paragraphs([note], note=True)


def _bundles(bundles: Sequence[BundleBench]) -> Markup:
    rows = [
        (bundle.name, bundle.precision, bundle.engine, f"{bundle.bytes / 1e6:.1f} MB", bundle.digest)
        for bundle in bundles
    ]
    return html.table(("bundle", "precision", "engine", "size", "digest"), rows, align="lllr")


def _megabytes(amount: int | None) -> str:
    return "-" if amount is None else f"{amount / 1e6:.0f}"
