"""How sure a difference of two scores is: the paired bootstrap (Efron and Tibshirani 1993; Koehn 2004, W04-3250)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.statistics.binomial import largest_rate

# Where fewer questions changed, drawing them again knows nothing of those that were not asked: without any, its
# interval would be 0 to 0.
_ENOUGH_CHANGED = 5


@dataclass(frozen=True)
class Drop:
    """How much lower the second score is, in percent points, and the interval that holds it with 95 %.

    changed: questions that were scored differently; None where that was not counted.
    exact: these are so few that the interval is not resampled, but the exact bound that their number leaves.
    """

    points: float
    low: float
    high: float
    questions: int
    changed: int | None = None
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.points:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def paired_drop(
    before: ArrayLike, after: ArrayLike, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Drop:
    """Return the mean drop of per-question scores, 0..1, (questions,) each in the same order, with its interval.

    Where fewer than five questions changed, the interval is what their number leaves possible: no more questions lose
    than the exact binomial bound says, no more gain, and each changes by a whole point at most.
    """
    differences = 100 * (np.asarray(before, np.float64) - np.asarray(after, np.float64))
    if differences.ndim != 1 or not differences.size:
        raise ValueError(f"scores: got shape {differences.shape}, wanted (questions,)")
    total = differences.size
    lost, won = int((differences > 0).sum()), int((differences < 0).sum())
    exact = lost + won < _ENOUGH_CHANGED
    if exact:
        tail = (1 - confidence) / 2
        low, high = (-100 * largest_rate(won, total, tail=tail), 100 * largest_rate(lost, total, tail=tail))
    else:
        low, high = resampled_interval(differences, resamples=resamples, confidence=confidence, seed=seed)
    return Drop(float(differences.mean()), low, high, int(total), lost + won, exact)


def resampled_interval(
    differences: NDArray[np.float64], *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of the mean of paired differences, (questions,).

    Questions are drawn with replacement, each with both of its scores, so that what is hard for both
    models does not blur the difference.
    """
    # Most questions do not change: drawing how often each distinct difference occurs is the same draw, and small.
    values, counts = np.unique(differences, return_counts=True)
    total = differences.size
    draws = np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(draws @ values / total, [tail, 100 - tail]).tolist()
    return low, high
