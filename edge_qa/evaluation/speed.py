"""How many times as fast one answerer is as another that took turns with it, and how well that is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Speed:
    """Median over the questions of the first one's time over the other's, and the interval that holds it with 95 %.

    The interval says how much the questions and what disturbed single ones leave open, not how the machine was.
    """

    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f}x ({self.low:.2f} to {self.high:.2f})"


# Of an answerer against itself.
EVEN = Speed(1.0, 1.0, 1.0)


def paired_speed(first_ms: Sequence[float], other_ms: Sequence[float]) -> Speed:
    """Compare the times of the same questions, (questions,) each in the same order.

    The interval lies between two ratios in order of size, and asks nothing of how they are distributed (Conover 1999,
    Practical Nonparametric Statistics, 3.2): half of them are below the true median, as a coin falls. Of fewer than six
    questions it is all that was seen.
    """
    ratios = np.sort(np.asarray(first_ms, np.float64) / np.asarray(other_ms, np.float64))
    place = _outer_places(len(ratios))
    return Speed(float(np.median(ratios)), float(ratios[place]), float(ratios[-1 - place]))


def _outer_places(count: int) -> int:
    """How many of `count` fair coins may show heads at most so that it happens in 2.5 % of all cases."""
    ways, total, place = 1, 1, 0
    while 40 * total <= 2**count:
        place += 1
        ways = ways * (count - place + 1) // place
        total += ways
    return max(0, place - 1)
