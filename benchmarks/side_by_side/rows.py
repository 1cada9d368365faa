"""The cells that page and README share: numbers in words, one row a contender."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side.summary import Row

HEADERS = (
    "",
    "ms a question, median",
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


def not_measured(results: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return a line for each figure that is missing, with its reason."""
    labels = {row.name: row.label for row in rows}
    found = [f"{row.label}: {row.failed}" for row in rows if row.failed]
    for what in ("in bulk", "to start"):
        found += [f"{labels.get(name, name)}, {what}: {why}" for name, why in results.get(f"failed {what}", {}).items()]
    return found


def disturbances(results: Mapping[str, Any]) -> list[str]:
    """Return a line for each part that other programs disturbed."""
    return [
        f"Other programs kept {cores:.1f} cores busy during «{what}»: its figures are doubtful."
        for what, cores in results.get("disturbed", {}).items()
    ]


INSTRUCTION_SET_HEADERS = ("cap", "runs as", "FP16, median ms", "F1", "INT8, median ms", "F1", "edge-qa doctor says")


def instruction_set_rows(blocks: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each capped CPU; nothing if they were not measured."""
    table = blocks.get("instruction sets", {})
    if "failed" in table:
        return []
    rows = []
    for cap, row in table.items():
        figures = [row[name] for name in ("fp16", "int8")]
        found = [
            (one["failed"], "-") if "failed" in one else (f"{one['p50_ms']:.1f}", f"{one['f1']:.2f}") for one in figures
        ]
        rows.append((cap, row["instruction_set"], *found[0], *found[1], "; ".join(row["doctor"])))
    return rows


SPLIT_HEADERS = (
    "INT8, batch 1",
    "median ms",
    "10^9 multiply-adds",
    "at best a second",
    "of the peak",
    "besides products",
)


def split_rows(blocks: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each model whose time was split up."""
    return [
        (
            f"{key.removeprefix('split ')} at {split['tokens']} tokens",
            f"{split['ms']:.2f}",
            f"{split['multiply_adds'] / 1e9:.2f}",
            f"{split['gmacs']:.0f}",
            f"{split['share_of_peak']:.0%}",
            ", ".join(f"{one['kind']} {one['ms']:.2f} ms" for one in split["largest_others"][:3]),
        )
        for key, split in blocks.items()
        if key.startswith("split ") and "failed" not in split
    ]


def peak_words(blocks: Mapping[str, Any]) -> str:
    """Return the INT8 peak of the machine in a sentence, or nothing."""
    if "peak" not in blocks:
        return ""
    products = ", ".join(f"{shape} {gmacs:.0f}" for shape, gmacs in blocks["peak"]["products"].items())
    return (
        f"INT8 peak on the spot: {blocks['peak']['gmacs']:.0f} thousand million multiply-adds a second (one product "
        f"alone, rows x inputs x outputs: {products}); the attention's products run in f32, whose peak is lower."
    )


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; a bar in a cell is escaped."""

    def line(found: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in found) + " |"

    return "\n".join([line(headers), "|" + "---|" * len(headers), *map(line, rows)])
