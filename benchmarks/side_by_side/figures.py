"""The arithmetic of the benchmark: quantiles, ratios, and differences between two runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Milliseconds a question."""

    mean: float
    p50: float
    p90: float
    p99: float


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0..1) of the values lie, between two of them linearly, as numpy does."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(milliseconds: Sequence[float]) -> Spread:
    """Return mean and quantiles of at least one value."""
    mean = sum(milliseconds) / len(milliseconds)
    return Spread(mean, *(quantile(milliseconds, share) for share in (0.5, 0.9, 0.99)))


def medians_by_length(
    tokens: Sequence[int], milliseconds: Sequence[float], *, width: int = 64, least: int = 3
) -> list[tuple[float, float]]:
    """Return (mean tokens, median ms) of the questions in each band of `width` tokens that holds `least` of them."""
    bands: dict[int, list[tuple[int, float]]] = {}
    for length, value in zip(tokens, milliseconds, strict=True):
        bands.setdefault(length // width, []).append((length, value))
    return [
        (sum(length for length, _ in found) / len(found), median(value for _, value in found))
        for _, found in sorted(bands.items())
        if len(found) >= least
    ]


def changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return by what share each ratio that both have differs, relative to the smaller: 0.1 is ten percent."""
    shared = [name for name in before if name in after and before[name] > 0 and after[name] > 0]
    return {name: max(before[name], after[name]) / min(before[name], after[name]) - 1 for name in shared}
