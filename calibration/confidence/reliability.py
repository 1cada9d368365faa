"""How far a confidence can be believed: reliability, what is wrong at which confidence, and a limit that holds.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei, Schuster 2022, "Conformal Risk Control", arXiv 2208.02814,
theorem 1): the loss of a question without an answer is 1 if it is answered and 0 if not, and falls as the least
confidence rises. With n such questions that fitted nothing, the least confidence is the smallest for which
(n * mean loss + 1) / (n + 1) is at most the share allowed. The expected share of false answers is then within it,
whatever the model, if the questions asked later are exchangeable with those n: of the same kind, and asked of the
same kind of text.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_qa.bundle.manifest import ConfidenceLevel, ReliabilityBin, RiskLimit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_BINS = 10
LEVELS = tuple(tenth / 10 for tenth in range(1, 10))


def reliability(confidence: Floats, right: Flags) -> tuple[ReliabilityBin, ...]:
    """Return ten bins of equal width, those without an answer left out."""
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return tuple(
        ReliabilityBin(
            place / _BINS,
            (place + 1) / _BINS,
            int((inside := places == place).sum()),
            float(confidence[inside].mean()),
            float(right[inside].mean()),
        )
        for place in np.unique(places).tolist()
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean of |confidence - share right| over the bins, each as heavy as it has answers."""
    total = sum(one.answers for one in bins)
    return sum(one.answers * abs(one.confidence - one.right) for one in bins) / total


def levels(confidence: Floats, right: Flags, answerable: Flags) -> tuple[ConfidenceLevel, ...]:
    """Return what comes of answering at 0.1, 0.2, ... 0.9 or more."""
    return tuple(_level(least, confidence >= least, right, answerable) for least in LEVELS)


def _level(least: float, answered: Flags, right: Flags, answerable: Flags) -> ConfidenceLevel:
    return ConfidenceLevel(
        least,
        float(answered.mean()),
        _share(answered & ~right, answered),
        _share(answered & right, right),
        _share(answered & ~answerable, ~answerable),
    )


def risk_limit(confidence: Floats, right: Flags, answerable: Flags, share: float) -> RiskLimit | None:
    """Return the least confidence for at most this share of false answers; None where too few questions are there."""
    without = np.sort(confidence[~answerable])[::-1]
    most = math.floor(share * (len(without) + 1) + 1e-9) - 1  # that may be answered
    if most < 0:
        return None
    # Above the one that may not be answered any more, with as many digits as one types.
    least = min(1.0, (math.floor(without[most] * 1e4) + 1) / 1e4) if most < len(without) else 0.0
    return RiskLimit(share, least, len(without), _share((confidence >= least) & right, right))


def _share(part: Flags, whole: Flags) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
