"""From the raw figures of a run to one row for each contender, and what is lost and won."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE
from benchmarks.side_by_side.figures import Spread, medians_by_length, spread
from calibration.statistics.bootstrap import paired_drop
from edge_qa.evaluation.dataset import Example
from edge_qa.evaluation.squad_metric import per_question, score

# (attribute of a row, what it is called, True if more is better)
MEASURES = (
    ("p50_ms", "milliseconds a question", False),
    ("bulk", "questions a second in bulk", True),
    ("f1", "F1", True),
    ("start_s", "cold start", False),
    ("peak_mb", "peak memory", False),
    ("install_mb", "install size", False),
)


@dataclass(frozen=True)
class Row:
    """One contender. Whatever could not be measured is None, and `failed` says why if nothing could.

    times: the steady passes of all sittings; first_mean_ms: the mean of the passes before them, when lengths were
    met for the first time.
    ratio, mean_ratio, bulk_ratio: its median, its mean and its questions a second in bulk over those of the
    reference, which was asked the same questions beside it. f1_gap: how much lower the reference's F1 is, with the
    ends of its 95 % interval.
    by_length: (tokens, median ms). peak_mb: after all questions; start_mb: at the first answer of a fresh process.
    """

    name: str
    label: str
    ours: bool
    answers: bool
    failed: str | None = None
    times: Spread | None = None
    first_mean_ms: float | None = None
    ratio: float | None = None
    mean_ratio: float | None = None
    bulk_ratio: float | None = None
    f1_gap: tuple[float, float, float] | None = None
    detail: str = ""
    f1: float | None = None
    exact: float | None = None
    bulk: float | None = None
    start_s: float | None = None
    import_s: float | None = None
    peak_mb: float | None = None
    start_mb: float | None = None
    install_mb: float | None = None
    by_length: tuple[tuple[float, float], ...] = ()

    @property
    def p50_ms(self) -> float | None:
        """The median of the steady pass."""
        return None if self.times is None else self.times.p50


def summarize(
    results: Mapping[str, Any],
    answers: Mapping[str, Any],
    examples: Sequence[Example],
    tokens: Sequence[int],
) -> list[dict[str, Any]]:
    """Return a row for each contender, as JSON values (`rows_of` reads them).

    tokens: of each question with its context, in the order of the examples.
    """
    blocks = results["blocks"]
    wanted = len(examples) * results["settings"]["sittings"]
    rows = []
    for name in results["settings"]["contenders"]:
        contender = CONTENDERS[name]
        row: dict[str, Any] = {"name": name, "label": contender.label, "ours": contender.ours}
        row["answers"] = contender.answers
        failed = results.get("failed", {}).get(name)
        group = next((i for i, names in enumerate(blocks.get("groups", [])) if name in names), None)
        steady = None if group is None else _series(answers, group, "steady", name, wanted)
        if steady is None:
            rows.append(row | {"failed": failed or "not measured"})
            continue
        row["times"] = vars(spread(steady["ms"]))
        first = _series(answers, group, "first", name, wanted)
        reference = _series(answers, group, "steady", REFERENCE, wanted)
        row["first_mean_ms"] = None if first is None else spread(first["ms"]).mean
        if reference is not None:
            own, other = spread(steady["ms"]), spread(reference["ms"])
            row |= {"ratio": own.p50 / other.p50, "mean_ratio": own.mean / other.mean}
        row["detail"] = results.get("details", {}).get(name, "")
        row["by_length"] = medians_by_length(list(tokens) * (wanted // len(examples)), steady["ms"])
        if contender.answers:
            # The last sitting's; those of another are the same.
            texts = steady["texts"][-len(examples) :]
            given = {example.id: text for example, text in zip(examples, texts, strict=True)}
            found = score(examples, given, version="v1.1")
            row |= {"f1": found.f1, "exact": found.exact_match}
            if reference is not None:
                row["f1_gap"] = _gap(examples, texts, reference["texts"][-len(examples) :])
        bulk, reference_bulk = (_bulk(blocks, group, one) for one in (name, REFERENCE))
        row["bulk_ratio"] = bulk / reference_bulk if bulk and reference_bulk else None
        peak = max((found.get(name) or 0 for found in _of_sittings(blocks, f"memory {group} ")), default=0)
        row |= {"bulk": bulk, "peak_mb": peak / 1e6 if peak and contender.answers else None}
        rows.append(row | _fresh(blocks, results, name, contender.environment if contender.answers else None))
    return rows


def rows_of(results: Mapping[str, Any]) -> list[Row]:
    """Return the rows that a results.json holds."""
    rows = []
    for row in results["rows"]:
        times = None if row.get("times") is None else Spread(**row["times"])
        lengths = tuple((tokens, value) for tokens, value in row.get("by_length", ()))
        gap = None if row.get("f1_gap") is None else tuple(row["f1_gap"])
        rows.append(Row(**row | {"times": times, "by_length": lengths, "f1_gap": gap}))
    return rows


def losses(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each measure in which somebody else's row beats the reference; F1 if that is no chance."""
    reference = next((row for row in rows if row.name == REFERENCE and row.failed is None), None)
    if reference is None:
        return []
    said = []
    for attribute, what, more in MEASURES:
        own = getattr(reference, attribute)
        better = [
            row
            for row in rows
            if not row.ours
            and row.answers
            and own is not None
            and _beats(row, reference, attribute, more)
            and (attribute != "f1" or row.f1_gap is None or row.f1_gap[1] > 0)
        ]
        if better:
            names = ", ".join(f"{row.label} ({_short(getattr(row, attribute))})" for row in better)
            said.append(f"{what}: {_short(own)}, behind {names}")
    return said


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Return every ratio to the reference that is claimed of a run, for a comparison with another run."""
    reference = next((row for row in rows if row.name == REFERENCE and row.failed is None), None)
    if reference is None:
        return {}
    found = {}
    for row in rows:
        if row.name == REFERENCE or row.failed is not None:
            continue
        for attribute, what, _ in MEASURES:
            own, other = getattr(reference, attribute), getattr(row, attribute)
            if own and other and attribute not in ("f1", "p50_ms", "bulk"):
                found[f"{row.label}: {what}"] = other / own
        # Of those who were asked beside each other.
        beside = ((row.ratio, "milliseconds a question"), (row.mean_ratio, "mean"))
        for value, what in (*beside, (row.bulk_ratio, "questions a second in bulk")):
            if value:
                found[f"{row.label}: {what}"] = value
    return found


def _gap(examples: Sequence[Example], texts: Sequence[str], reference: Sequence[str]) -> tuple[float, float, float]:
    """How much lower the F1 of the reference is, in points, and the 95 % interval of that."""
    sides = []
    for side in (texts, reference):
        given = {example.id: text for example, text in zip(examples, side, strict=True)}
        sides.append([one.f1 for one in per_question(examples, given, version="v1.1").values()])
    drop = paired_drop(*sides)
    return drop.points, drop.low, drop.high


def _series(answers: Mapping[str, Any], group: int, kind: str, name: str, wanted: int) -> dict[str, list[Any]] | None:
    """All chunks of one contender's passes of a kind, in order, sitting by sitting; None if a question is missing.

    The keys of answers are "GROUP SITTING KIND FIRST".
    """
    parts = [(key, key.split(" ")) for key in answers]
    mine = [
        (int(sitting), int(first), key) for key, (of, sitting, what, first) in parts if (of, what) == (str(group), kind)
    ]
    keys = [key for _, _, key in sorted(mine)]
    found: dict[str, list[Any]] = {"ms": [], "texts": []}
    for key in keys:
        for part in found:
            found[part] += answers[key].get(name, {}).get(part, [])
    return found if len(found["ms"]) == wanted else None


def _of_sittings(blocks: Mapping[str, Any], prefix: str) -> list[Mapping[str, Any]]:
    return [value for key, value in blocks.items() if key.startswith(prefix)]


def _fresh(
    blocks: Mapping[str, Any], results: Mapping[str, Any], name: str, environment: str | None
) -> dict[str, float | None]:
    if environment is None:
        return {}
    started = blocks.get("starts", {}).get(name)
    imported = blocks.get("imports", {}).get(environment)
    installed = results["environments"].get(environment, {}).get("bytes")
    peaks = [peak for peak in (started or {}).get("peak_bytes", []) if peak]
    return {
        "start_s": median(started["seconds"]) if started else None,
        "start_mb": median(peaks) / 1e6 if peaks else None,
        "import_s": median(imported) if imported else None,
        "install_mb": installed / 1e6 if installed else None,
    }


def _beats(row: Row, reference: Row, attribute: str, more: bool) -> bool:
    # By the ratio where there is one: that is of those who were asked beside each other.
    ratio = {"p50_ms": row.ratio, "bulk": row.bulk_ratio}.get(attribute)
    value, own = (getattr(one, attribute) for one in (row, reference)) if ratio is None else (ratio, 1.0)
    return value is not None and (value > own if more else value < own)


def _bulk(blocks: Mapping[str, Any], group: int, name: str) -> float | None:
    rounds = [value for found in _of_sittings(blocks, f"bulk {group} ") for value in found.get(name, ())]
    return median(rounds) if rounds else None


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
