"""The results file of the page on documents: a measurement replaces the one of the same title."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import describe_machine

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "results" / "documents.json"


@dataclass(frozen=True)
class Measurement:
    """A table of the page, with what was measured and how."""

    title: str
    what: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    command: str
    notes: Sequence[str] = ()


def store(measurements: Sequence[Measurement], path: Path = RESULTS) -> None:
    """Put measurements into the results file, made today on this machine."""
    before = json.loads(path.read_text(encoding="utf-8"))["measurements"] if path.exists() else []
    kept = {one["title"]: one for one in before}
    for one in measurements:
        kept[one.title] = {
            "title": one.title,
            "what": one.what,
            "machine": describe_machine(),
            "date": datetime.date.today().isoformat(),
            "command": one.command,
            "columns": list(one.columns),
            "rows": [list(row) for row in one.rows],
            "notes": list(one.notes),
        }
    text = json.dumps({"measurements": list(kept.values())}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
