"""Sums over tokens that are enough for the least squares of a Linear."""

import numpy as np
from numpy.typing import NDArray

from converters.reference import Float

Wide = NDArray[np.float64]

# Tokens whose products are summed in float32 before they join the float64 sums.
CHUNK = 1024


class Moments:
    """Sums over tokens of inputs a, (tokens, in), and targets t, (tokens, out), enough for least squares."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.count = 0
        self.a, self.t = np.zeros(inputs), np.zeros(outputs)
        self.aa, self.at = np.zeros((inputs, inputs)), np.zeros((inputs, outputs))
        self.tt = 0.0

    def add(self, a: Float, t: Float) -> None:
        """Add some tokens."""
        self.count += len(a)
        self.a += a.sum(axis=0, dtype=np.float64)
        self.t += t.sum(axis=0, dtype=np.float64)
        self.aa += a.T @ a
        self.at += a.T @ t
        self.tt += float(np.vdot(t, t))

    def error(self, weight: Wide, bias: Wide) -> float:
        """The mean square of t - a @ weight.T - bias, summed over outputs."""
        # |t - Wa - b|^2 = tt - 2 W.at - 2 b.t + WW.aa + 2 (W^T b).a + count b.b
        product = self.aa @ weight.T  # (in, out)
        total = self.tt - 2 * np.vdot(weight.T, self.at) - 2 * bias @ self.t
        total += np.vdot(product, weight.T) + 2 * (bias @ weight) @ self.a + self.count * (bias @ bias)
        return max(0.0, float(total)) / max(1, self.count)

    def spread(self) -> float:
        """The mean square of t around its mean, summed over outputs."""
        count = max(1, self.count)
        return max(0.0, self.tt / count - float((self.t / count) @ (self.t / count)))
