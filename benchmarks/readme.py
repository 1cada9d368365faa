"""Write the README's table and its picture from results.json: python -m benchmarks.readme [RESULTS [FILE]].

The table stands between the lines <!-- benchmark:begin --> and <!-- benchmark:end -->; the rest of the file stays.
The picture is written to benchmarks/side_by_side.svg beside the file, and RESULTS is copied to
docs/benchmarks/results/side-by-side.json, from which the documentation makes its page. Without RESULTS
the table and the picture are written anew from that copy.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.plots import readme_picture
from benchmarks.side_by_side.rows import (
    INSTRUCTION_SET_HEADERS,
    SPLIT_HEADERS,
    disturbances,
    instruction_set_rows,
    markdown,
    not_measured,
    number,
    peak_words,
    sample_words,
    split_rows,
    version_words,
)
from benchmarks.side_by_side.store import read_results
from benchmarks.side_by_side.summary import Row, losses, rows_of
from edge_qa.errors import EdgeQAError, InputError
from edge_qa.files import check_file, write_file

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
PICTURE = "benchmarks/side_by_side.svg"
KEPT = Path("docs/benchmarks/results/side-by-side.json")
_HEADERS = ("", "median ms", "p99", "time relative to Edge QA INT8", "F1", "bulk /s", "cold start", "memory", "install")
_SHORT_HEADERS = ("", "median ms", "speed", "F1", "cold start", "memory", "install")
# Who a reader compares: at most ten rows; the others stand in the documentation.
_SHORT = (
    *("edge-qa-compacted", "edge-qa-int8-budget", "edge-qa-int8", "edge-qa-fp16", "optimum-int8", "optimum-default"),
    *("onnxruntime-int8-dynamic", "onnxruntime-int8-static", "onnxruntime-fp32", "transformers-fp32"),
)
# What "speed" is measured against: what most people come from.
_BASE = "transformers-fp32"


def main(arguments: Sequence[str] | None = None) -> None:
    """Replace what stands between the marks, and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("results", type=Path, nargs="?", default=root / KEPT, metavar="RESULTS")
    parser.add_argument("file", type=Path, nargs="?", default=root / "README.md", metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        results = read_results(options.results)
        if "rows" not in results:
            raise InputError(f"{options.results}: not finished; run the benchmark to its end")
        try:
            text = options.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{options.file}: cannot be read ({getattr(error, 'strerror', 'not UTF-8')})") from None
        try:
            content, drawn = section(results), readme_picture(rows_of(results), sample_words(results))
            long_section(results)  # before anything is written
        except (KeyError, TypeError) as error:
            raise InputError(f"{options.results}: incomplete ({error}); measure again with --fresh") from None
        changed = put_between(text, content, str(options.file))
        picture, kept = options.file.parent / PICTURE, options.file.parent / KEPT
        for path in (picture, kept):
            path.parent.mkdir(parents=True, exist_ok=True)
        for path in (picture, kept, options.file):
            check_file(path, force=True)
        write_file(picture, drawn)
        write_file(kept, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
        write_file(options.file, changed.encode())
    except EdgeQAError as error:
        sys.exit(f"benchmarks.readme: {error}")


def put_between(text: str, content: str, where: str) -> str:
    """Return the text with new content between the marks. Raises InputError if they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(f"{where}: wanted one line {BEGIN} and one line {END} below it; add them")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{content.strip()}\n{END}{after}"


def section(results: Mapping[str, Any]) -> str:
    """Return the short table, the fastest first, as Markdown: who is faster is seen at once."""
    rows = [row for row in rows_of(results) if row.name in _SHORT and row.p50_ms is not None]
    base = next((row.p50_ms for row in rows if row.name == _BASE), None)
    rows.sort(key=lambda row: row.p50_ms or 0.0)
    return "\n\n".join(
        [markdown(_SHORT_HEADERS, [_short_cells(row, base) for row in rows]), f"{sample_words(results)}."]
    )


def _short_cells(row: Row, base: float | None) -> tuple[str, ...]:
    speed = "-" if base is None or row.p50_ms is None else f"{base / row.p50_ms:.1f}x"
    cells = (
        row.label,
        number(row.p50_ms, 1),
        speed,
        number(row.f1, 2),
        *(_with_unit(value, digits, unit) for value, digits, unit in _sizes(row)),
    )
    return tuple(f"**{cell}**" for cell in cells) if row.ours else cells


def _sizes(row: Row) -> tuple[tuple[float | None, int, str], ...]:
    return ((row.start_s, 2, "s"), (row.peak_mb, 0, "MB"), (row.install_mb, 0, "MB"))


def _with_unit(value: float | None, digits: int, unit: str) -> str:
    return "-" if value is None else f"{value:.{digits}f} {unit}"


def long_section(results: Mapping[str, Any]) -> str:
    """Return every row and what belongs to it, as Markdown."""
    rows = rows_of(results)
    blocks = results["blocks"]
    parts = [f"{sample_words(results)}.", markdown(_HEADERS, [_cells(row) for row in rows])]
    parts += [f"Could not be measured. {text}." for text in not_measured(results, rows)]
    published = results["environments"].get("optimum-intel-as-published", {})
    if "bytes" in published:
        size = f"{published['bytes'] / 1e6:.0f} MB as pip gives it, with torch's CUDA"
        parts.append(f"optimum-intel installs {size}; the table has it with a torch for CPUs.")
    lost = losses(rows)
    if lost:
        parts.append("Where Edge QA INT8 is behind: " + "; ".join(lost) + ".")
    parts += disturbances(results)
    smaller = instruction_set_rows(blocks)
    if smaller:
        parts.append(
            "Smaller CPUs, stood in for by `ONEDNN_MAX_CPU_ISA` (a set that this CPU lacks runs as the next smaller "
            f"one), {results['settings']['capped']} questions:"
        )
        # What `edge-qa doctor` says there is for the page of the benchmark itself: it says it to everybody.
        parts.append(markdown(INSTRUCTION_SET_HEADERS[:-1], [row[:-1] for row in smaller]))
    if split_rows(blocks):
        parts += [f"How near the limit: {peak_words(blocks)}", markdown(SPLIT_HEADERS, split_rows(blocks))]
    parts.append("Versions: " + " | ".join(version_words(results)) + ".")
    return "\n\n".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    if row.times is None:
        return (row.label, f"not measured: {row.failed}", *[""] * (len(_HEADERS) - 2))
    faster = "-" if row.ratio is None else f"{row.ratio:.2f}x"
    return (
        row.label,
        number(row.times.p50, 1),
        number(row.times.p99, 1),
        faster,
        number(row.f1, 2),
        number(row.bulk, 1),
        *(_with_unit(value, digits, unit) for value, digits, unit in _sizes(row)),
    )


if __name__ == "__main__":
    main()
