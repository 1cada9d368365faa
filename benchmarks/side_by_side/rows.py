"""The cells that page and README share: numbers in words, one row a contender."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side.summary import Row

HEADERS = (
    "",
    "ms a question, p50",
    "p90",
    "p99",
    "mean",
    "of ours",
    "F1",
    "EM",
    "bulk, questions/s",
    "cold start, s",
    "memory, MB",
    "install, MB",
)
ALIGN = "l" + "r" * (len(HEADERS) - 1)


def cells(row: Row) -> tuple[str, ...]:
    """Return a row of the large table; one that could not be measured says why."""
    if row.times is None:
        return (row.label, f"not measured: {row.failed}", *[""] * (len(HEADERS) - 2))
    times = row.times
    return (
        row.label,
        *(number(value, 1) for value in (times.p50, times.p90, times.p99, times.mean)),
        "-" if row.ratio is None else f"{row.ratio:.2f}x",
        number(row.f1, 2),
        number(row.exact, 2),
        number(row.bulk, 1),
        number(row.start_s, 2),
        number(row.peak_mb, 0),
        number(row.install_mb, 0),
    )


def number(value: float | None, digits: int) -> str:
    """Return a number with so many decimals, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def sample_words(results: Mapping[str, Any]) -> str:
    """Return what was asked, when, and on what, in one sentence."""
    settings, machine = results["settings"], results["machine"]
    sample = settings["sample"]
    return (
        f"{sample['questions']} of {settings['answerable']} answerable questions of {sample['name']}, "
        f"checkpoint {settings['checkpoint']}; {machine['cpu']} ({machine['instruction_set']}), {settings['threads']} "
        f"threads on as many cores, Python {machine['python']}; {results['date']}"
    )


def version_words(results: Mapping[str, Any]) -> list[str]:
    """Return for each environment what is in it, or why it is not there."""
    said = []
    for name, found in results["environments"].items():
        if "failed" in found:
            said.append(found["failed"])
            continue
        packages = ", ".join(f"{package} {version}" for package, version in found["packages"].items())
        note = f"; {found['note']}" if found["note"] else ""
        said.append(f"{name}: {packages}; {found['bytes'] / 1e6:.0f} MB{note}")
    return said


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; a bar in a cell is escaped."""

    def line(found: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in found) + " |"

    return "\n".join([line(headers), "|" + "---|" * len(headers), *map(line, rows)])
