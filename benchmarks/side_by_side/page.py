"""The page of the benchmark: one offline HTML file, made from results.json alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side import plots
from benchmarks.side_by_side.rows import ALIGN, HEADERS, cells, number, sample_words, version_words
from benchmarks.side_by_side.summary import Row, losses, rows_of
from edge_qa import html
from edge_qa.html import Markup, Section

_TABLE_NOTE = (
    "One question at a time, end to end, text in to text out, after a first pass over all questions; all contenders "
    "loaded side by side on the same cores, each idle while another has its turn. Of ours: its mean over that of Edge "
    "QA INT8. Memory: the peak of the process after all questions. Install: the files of its environment "
    "without those of an empty one."
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
    sections.append(Section("How it was measured", (html.paragraphs([sample_words(results), *_how(results)]),)))
    return html.page(
        "Answering questions on a CPU: side by side",
        sections,
        lead=sample_words(results),
        footer="python -m benchmarks",
    )


def _table(rows: Sequence[Row], results: Mapping[str, Any]) -> list[Markup]:
    blocks = [html.table(HEADERS, map(cells, rows), align=ALIGN), html.paragraphs([_TABLE_NOTE], note=True)]
    failed = [f"{row.label}: {row.failed}" for row in rows if row.failed]
    for what in ("in bulk", "to start"):
        failed += [f"{name}, {what}: {why}" for name, why in results.get(f"failed {what}", {}).items()]
    if failed:
        blocks.append(html.paragraphs([f"Could not be measured. {text}." for text in failed]))
    lost = losses(rows)
    if lost:
        blocks.append(html.paragraphs(["Where Edge QA INT8 is behind somebody else:", *lost]))
    busy = results.get("busy_others", 0.0)
    if busy > 0.1 * results["settings"]["threads"]:
        blocks.append(html.paragraphs([f"Other programs kept {busy:.1f} cores busy meanwhile: figures are doubtful."]))
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
    if "peak" in blocks:
        products = ", ".join(f"{shape} {gmacs:.0f}" for shape, gmacs in blocks["peak"]["products"].items())
        text = f"INT8 peak on the spot: {blocks['peak']['gmacs']:.0f} thousand million multiply-adds a second"
        shown.append(html.paragraphs([f"{text} (one product alone, rows x inputs x outputs: {products})."]))
    if good:
        rows = [
            (
                f"{name} at {split['tokens']} tokens",
                f"{split['ms']:.2f}",
                f"{split['multiply_adds'] / 1e9:.2f}",
                f"{split['gmacs']:.0f}",
                f"{split['share_of_peak']:.0%}",
            )
            for name, split in good.items()
        ]
        headers = ("INT8, batch 1", "ms", "10^9 multiply-adds", "10^9 a second", "of the peak")
        shown.append(html.table(headers, rows, align="lrrrr"))
        shown.append(plots.stacked([(f"{name}, {split['tokens']}", split["kinds_ms"]) for name, split in good.items()]))
        shown.append(html.paragraphs([_costs(name, split) for name, split in good.items()]))
    shown += [html.paragraphs([f"{name}: {split['failed']}"]) for name, split in found.items() if "failed" in split]
    return shown


def _costs(name: str, split: Mapping[str, Any]) -> str:
    costs = [f"{one['kind']} {one['ms']:.2f} ms (such as {one['example']})" for one in split["largest_others"]]
    return f"{name}: what takes most besides the products with weights: {'; '.join(costs)}."


def _instruction_sets(blocks: Mapping[str, Any]) -> list[Markup]:
    table = blocks.get("instruction sets", {})
    if not table or "failed" in table:
        return [html.paragraphs([table.get("failed", "not measured")])]
    rows = []
    for cap, row in table.items():
        figures = [row[name] for name in ("fp16", "int8")]
        found = [
            (one["failed"], "-") if "failed" in one else (f"{one['p50_ms']:.1f}", f"{one['f1']:.2f}") for one in figures
        ]
        rows.append((cap, row["instruction_set"], *found[0], *found[1], "; ".join(row["doctor"])))
    headers = ("cap", "runs as", "FP16, ms", "F1", "INT8, ms", "F1", "edge-qa doctor says")
    note = (
        "Smaller CPUs are stood in for by ONEDNN_MAX_CPU_ISA; a set that this CPU lacks runs as the next smaller one."
    )
    return [html.table(headers, rows, align="llrrrrl"), html.paragraphs([note], note=True)]


def _how(results: Mapping[str, Any]) -> list[str]:
    settings = results["settings"]
    given = ", ".join(f"{name} from {path}" for name, path in settings["given"].items())
    return [
        f"Turns of {settings['turn']} questions, the order rotating; {settings['starts']} fresh processes each; "
        f"{settings['bulk']} questions in bulk; {settings['capped']} questions for each instruction set; INT8 was "
        f"calibrated on {settings['calibration']} by everybody{f'; {given}' if given else ''}.",
        f"System {results['machine']['system']}.",
        *version_words(results),
    ]
