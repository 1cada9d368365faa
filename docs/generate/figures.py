"""Tables of the benchmark pages, from the results files in docs/benchmarks/results/."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.readme import long_section
from benchmarks.side_by_side.plots import readme_picture
from benchmarks.side_by_side.rows import markdown, sample_words
from benchmarks.side_by_side.store import read_results
from benchmarks.side_by_side.summary import rows_of

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
# What every measurement says beside its figures.
REQUIRED = ("title", "what", "machine", "date", "command", "columns", "rows")


def figures(name: str) -> str:
    """Return all measurements of one results file, each with a heading, its table, machine, date and command."""
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return "\n".join(line for measurement in content["measurements"] for line in _measurement(measurement))


def side_by_side() -> str:
    """Return all that the benchmark against the rivals found, from side-by-side.json, with its picture."""
    results = read_results(RESULTS / "side-by-side.json")
    drawn = readme_picture(rows_of(results), sample_words(results)).decode().strip()
    # In a page the words take the page's colours, which a reader may switch by hand.
    picture = re.sub(r"<style>.*?</style>", "", drawn, flags=re.DOTALL)
    parts = [f'<div class="wide-picture benchmark">{picture}</div>', long_section(results)]
    if "note" in results:
        parts.append(results["note"])
    if "command" in results:
        parts.append(f"To measure it again:\n\n```text\n{results['command']}\n```")
    return "\n\n".join(parts) + "\n"


def _measurement(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## {found['title']}\n"
    yield f"{found['what']}\n"
    if found["rows"]:
        yield markdown(found["columns"], [[_cell(value) for value in row] for row in found["rows"]]) + "\n"
    for note in found.get("notes", ()):
        yield f"{note}\n"
    yield f"{found['machine']}; {found['date']}." + (" To measure it again:\n" if found["command"] else "\n")
    if found["command"]:
        yield f"```text\n{found['command']}\n```\n"


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
