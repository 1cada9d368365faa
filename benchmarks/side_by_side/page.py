"""The page of the benchmark: one offline HTML file, made from results.json alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side import plots
from benchmarks.side_by_side.artefacts import RIVAL_SAMPLES
from benchmarks.side_by_side.rows import (
    ALIGN,
    HEADERS,
    INSTRUCTION_SET_HEADERS,
    SPLIT_HEADERS,
    cells,
    disturbances,
    instruction_set_rows,
    not_measured,
    number,
    peak_words,
    sample_words,
    split_rows,
    version_words,
)
from benchmarks.side_by_side.summary import Row, losses, rows_of
from calibration.quantization.options import QuantizationOptions
from edge_qa.reporting import html
from edge_qa.reporting.html import Markup, Section

_TABLE_NOTE = (
    "One question at a time, end to end, text in to text out, after a first pass over all questions; all contenders "
    "loaded side by side on the same cores, each idle while another has its turn. Of ours: its median over that of "
    "Edge QA INT8. Memory: the most RAM that the process ever held (VmHWM), libraries and all, after all questions, "
    "in batches as well. Install: the files of its environment without those of an empty one."
)


def benchmark_page(results: Mapping[str, Any]) -> bytes:
    """Return the page, UTF-8."""
    rows = rows_of(results)
    measured = [row for row in rows if row.times is not None]
    sections = [Section("Side by side", tuple(_table(rows, results)))]
    if any(row.f1 is not None for row in measured):
        sections.append(Section("Latency against F1", (html.figure(plots.latency_against_f1(measured)),)))
    sections.append(Section("Latency against length", (plots.latency_against_length(measured),)))
    sections.append(Section("Cold start", _starts(measured)))
    sections.append(Section("Memory", (plots.bars(measured, "peak_mb", "MB", 0),)))
    sections.append(Section("Install size", _sizes(measured, results)))
    sections.append(Section("Where the time goes", tuple(_splits(results["blocks"]))))
    sections.append(Section("By instruction set", tuple(_instruction_sets(results["blocks"]))))
    sections.append(Section("How it was measured", (html.paragraphs(_how(results, rows)),)))
    return html.page(
        "Answering questions on a CPU: side by side",
        sections,
        lead=sample_words(results),
        footer="python -m benchmarks",
    )


def _table(rows: Sequence[Row], results: Mapping[str, Any]) -> list[Markup]:
    blocks = [html.table(HEADERS, map(cells, rows), align=ALIGN), html.paragraphs([_TABLE_NOTE], note=True)]
    failed = not_measured(results, rows)
    if failed:
        blocks.append(html.paragraphs([f"Could not be measured. {text}." for text in failed]))
    lost = losses(rows)
    if lost:
        blocks.append(html.paragraphs(["Where Edge QA INT8 is behind somebody else:", *lost]))
    disturbed = disturbances(results)
    if disturbed:
        blocks.append(html.paragraphs(disturbed))
    return blocks


def _starts(rows: Sequence[Row]) -> tuple[Markup, ...]:
    table = [
        (
            row.label,
            number(row.start_s, 2),
            number(row.import_s, 2),
            number(row.start_mb, 0),
            number(row.first_mean_ms, 1),
        )
        for row in rows
        if row.start_s is not None
    ]
    headers = ("", "to the first answer, s", "of that the imports, s", "memory then, MB", "first pass, mean ms")
    note = (
        "Seconds from the start of a process to its first answer, the median of several processes, files in the page "
        "cache. First pass: every question once, lengths met for the first time."
    )
    return (
        plots.bars(rows, "start_s", "s", 2),
        html.table(headers, table, align="lrrrr"),
        html.paragraphs([note], note=True),
    )


def _sizes(rows: Sequence[Row], results: Mapping[str, Any]) -> tuple[Markup, ...]:
    first: dict[float, Row] = {}
    for row in rows:
        if row.install_mb is not None:
            first.setdefault(row.install_mb, row)
    published = results["environments"].get("optimum-intel-as-published", {})
    extra = (
        [("optimum-intel as pip gives it (torch with CUDA)", published["bytes"] / 1e6)] if "bytes" in published else []
    )
    note = "Contenders that share an environment are shown once, under the first of them."
    return plots.bars(list(first.values()), "install_mb", "MB", 0, extra=extra), html.paragraphs([note], note=True)


def _splits(blocks: Mapping[str, Any]) -> list[Markup]:
    found = {key.removeprefix("split "): value for key, value in blocks.items() if key.startswith("split ")}
    good = {name: split for name, split in found.items() if "failed" not in split}
    shown: list[Markup] = []
    if peak_words(blocks):
        shown.append(html.paragraphs([peak_words(blocks)]))
    if good:
        shown.append(html.table(SPLIT_HEADERS, split_rows(blocks), align="lrrrrl"))
        shown.append(plots.stacked([(f"{name}, {split['tokens']}", split["kinds_ms"]) for name, split in good.items()]))
        shown.append(html.paragraphs([_costs(name, split) for name, split in good.items()]))
    shown += [html.paragraphs([f"{name}: {split['failed']}"]) for name, split in found.items() if "failed" in split]
    return shown


def _costs(name: str, split: Mapping[str, Any]) -> str:
    costs = [f"{one['kind']} {one['ms']:.2f} ms (such as {one['example']})" for one in split["largest_others"]]
    return f"{name}: what takes most besides the products with weights: {'; '.join(costs)}."


def _instruction_sets(blocks: Mapping[str, Any]) -> list[Markup]:
    rows = instruction_set_rows(blocks)
    if not rows:
        return [html.paragraphs([blocks.get("instruction sets", {}).get("failed", "not measured")])]
    note = (
        "Smaller CPUs are stood in for by ONEDNN_MAX_CPU_ISA; a set that this CPU lacks runs as the next smaller one."
    )
    return [html.table(INSTRUCTION_SET_HEADERS, rows, align="llrrrrl"), html.paragraphs([note], note=True)]


def _how(results: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    settings = results["settings"]
    calibration = settings["calibration"]
    given = ", ".join(f"{name} from {path}" for name, path in settings["given"].items())
    return [
        f"Sittings, each with new processes: {settings['sittings']}; turns of {settings['turn']} questions, the order "
        f"rotating; fresh processes of each: {settings['starts']}; "
        f"{settings['bulk']} questions in bulk; {settings['capped']} questions for each instruction set.",
        f"INT8 was calibrated on {calibration['name']}: Edge QA on {QuantizationOptions.samples} questions, "
        f"the others on up to {min(RIVAL_SAMPLES, calibration['questions'])}, as each does by default"
        f"{f'; given, and not calibrated here: {given}' if given else ''}.",
        *(f"{row.label}: {row.detail}." for row in rows if row.detail),
        f"System {results['machine']['system']}.",
        *version_words(results),
    ]
