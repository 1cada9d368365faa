"""What is measured of a token budget, which are worth keeping, and when to stop measuring one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

# For each layer the share of the tokens that is left in it.
Shares = tuple[float, ...]
Verdict = Literal["complete", "beyond the drop", "dominated", "not faster"]

# One-sided 95 %: a budget goes when even so kind a reading of its questions is not good enough.
_KINDNESS = 1.64
# In percent points: as if half a question more had been lost or won. Where a hundred answers are the
# same, the hundred and first may still be lost; their variance, which is 0, does not know that.
_UNSEEN = 50.0


@dataclass(frozen=True)
class Trial:
    """A budget and what was measured of it.

    latency: measured, relative to the full model's. f1: in percent, and drop: percent points less than
    the full model's, on the `questions` that were asked before it stopped; error: the drop's standard
    error. All None where nothing was asked.
    verdict: "complete" if every question was asked, otherwise why the rest was not.
    """

    shares: Shares
    latency: float
    f1: float | None
    drop: float | None
    error: float | None
    questions: int
    verdict: Verdict
    generation: int

    @property
    def kindest(self) -> float | None:
        """The smallest drop that the questions asked leave plausible; None where none was asked."""
        return None if self.drop is None or self.error is None else self.drop - _KINDNESS * self.error


@dataclass(frozen=True)
class Loss:
    """Percent points of F1 lost against the full model on the same questions, and the standard error."""

    points: float
    error: float
    questions: int

    @classmethod
    def of(cls, full: ArrayLike, other: ArrayLike) -> "Loss":
        """full, other: F1 of each question, 0..1, (questions,) each in the same order."""
        lost = 100 * (np.asarray(full, np.float64) - np.asarray(other, np.float64))
        count = lost.size
        return cls(float(lost.mean()), math.sqrt(lost.var() / count + (_UNSEEN / count) ** 2), count)

    @property
    def kindest(self) -> float:
        """The smallest drop that these questions leave plausible."""
        return self.points - _KINDNESS * self.error


def front(trials: Iterable[Trial], allowance: float) -> list[Trial]:
    """Return the complete trials faster than the full model that no other beats in both, the fastest first.

    allowance: percent points of F1; what lost more is left out.
    """
    found: list[tuple[float, Trial]] = []
    for drop, trial in sorted(_eligible(trials, allowance), key=lambda pair: (pair[1].latency, pair[0])):
        if not found or drop < found[-1][0]:
            found.append((drop, trial))
    return [trial for _, trial in found]


def _eligible(trials: Iterable[Trial], allowance: float) -> Iterable[tuple[float, Trial]]:
    for trial in trials:
        if trial.verdict == "complete" and trial.drop is not None and trial.latency < 1 and trial.drop <= allowance:
            yield trial.drop, trial


def stopped(loss: Loss, latency: float, best: Sequence[Trial], allowance: float) -> Verdict | None:
    """Return why a budget need not be asked further, or None if it may still join the front `best`."""
    if loss.kindest > allowance:
        return "beyond the drop"
    if any(one.latency <= latency and one.drop is not None and one.drop <= loss.kindest for one in best):
        return "dominated"
    return None
