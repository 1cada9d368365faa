"""How long a token budget will take, fitted on those that were measured so far.

    relative latency = base + sum over layers of cost_i * share_i + dropping * number of layers that drop

Ridge regression towards what one expects before anything is measured: layers that cost alike. It is
only there to leave out what is not worth measuring; what is reported is always measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.token_budgets.trials import Shares

_BASE, _DROPPING = 0.1, 0.01
# The square of (noise of a measured ratio, about 0.02) over (what a coefficient may be off by, about 0.1).
_RIDGE = 0.04


@dataclass(frozen=True, eq=False)
class CostModel:
    """base, dropping: relative latency; layers: of each layer with all tokens, (layers,)."""

    base: float
    layers: NDArray[np.float64]
    dropping: float

    def predict(self, shares: Shares) -> float:
        """Return the relative latency of a budget."""
        return float(_features(shares) @ np.array([self.base, *self.layers, self.dropping]))


def fit_costs(layers: int, measured: Sequence[tuple[Shares, float]]) -> CostModel:
    """Fit on budgets and their relative latencies; on none of them, return what one expects."""
    expected = np.array([_BASE, *[(1 - _BASE) / layers] * layers, _DROPPING])
    points = [((1.0,) * layers, 1.0), *measured]
    x = np.array([_features(shares) for shares, _ in points])
    residual = np.array([latency for _, latency in points]) - x @ expected
    solved = expected + np.linalg.solve(x.T @ x + _RIDGE * np.eye(len(expected)), x.T @ residual)
    return CostModel(float(solved[0]), solved[1:-1], float(solved[-1]))


def _features(shares: Shares) -> NDArray[np.float64]:
    drops = sum(share < before for before, share in zip((1.0, *shares), shares, strict=False))
    return np.array([1.0, *shares, float(drops)])
