"""How sure a difference of two scores is: the paired bootstrap (Efron and Tibshirani 1993; Koehn 2004, W04-3250)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Drop:
    """How much lower the second score is, in percent points, and the interval that holds it with 95 %."""

    points: float
    low: float
    high: float
    questions: int

    def __str__(self) -> str:
        return f"{self.points:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def paired_drop(
    before: ArrayLike, after: ArrayLike, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Drop:
    """Return the mean drop of per-question scores, 0..1, (questions,) each in the same order, with its interval.

    Questions are drawn with replacement, each with both of its scores, so that what is hard for both
    models does not blur the difference.
    """
    differences = 100 * (np.asarray(before, np.float64) - np.asarray(after, np.float64))
    if differences.ndim != 1 or not differences.size:
        raise ValueError(f"scores: got shape {differences.shape}, wanted (questions,)")
    # Most questions do not change: drawing how often each distinct difference occurs is the same draw, and small.
    values, counts = np.unique(differences, return_counts=True)
    total = differences.size
    draws = np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(draws @ values / total, [tail, 100 - tail]).tolist()
    return Drop(float(differences.mean()), low, high, int(total))
