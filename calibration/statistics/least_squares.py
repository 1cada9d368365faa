"""Sums over tokens that are enough for the least squares of a Linear."""

import numpy as np
from numpy.typing import NDArray

from converters.verification.reference import Float

Wide = NDArray[np.float64]

# Tokens whose products are summed in float32 before they join the float64 sums.
CHUNK = 1024


class Moments:
    """Means and covariances of inputs a, (tokens, in), and targets t, (tokens, out).

    Products are of what is left without the means of the first tokens: channels that hardly move around a
    large mean would otherwise cancel in float32.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self.count = 0
        self._base_a, self._base_t = np.zeros(inputs, np.float32), np.zeros(outputs, np.float32)
        self._a, self._t = np.zeros(inputs), np.zeros(outputs)
        self._aa, self._at = np.zeros((inputs, inputs)), np.zeros((inputs, outputs))
        self._tt = 0.0

    def add(self, a: Float, t: Float) -> None:
        """Add some tokens, one at least."""
        if not self.count:
            self._base_a, self._base_t = a.mean(axis=0), t.mean(axis=0)
        self.count += len(a)
        a, t = a - self._base_a, t - self._base_t
        self._a += a.sum(axis=0, dtype=np.float64)
        self._t += t.sum(axis=0, dtype=np.float64)
        self._aa += a.T @ a
        self._at += a.T @ t
        self._tt += float(np.vdot(t, t))

    def means(self) -> tuple[Wide, Wide]:
        """Of inputs, (in,), and of targets, (out,)."""
        return self._base_a + self._a / self.count, self._base_t + self._t / self.count

    def covariance(self) -> Wide:
        """Of the inputs, (in, in)."""
        a = self._a / self.count
        return np.asarray(self._aa / self.count - np.outer(a, a))

    def cross(self) -> Wide:
        """The covariance of inputs and targets, (in, out)."""
        return np.asarray(self._at / self.count - np.outer(self._a / self.count, self._t / self.count))

    def error(self, weight: Wide, bias: Wide) -> float:
        """The mean square of t - a @ weight.T - bias, summed over outputs."""
        a, t = self.means()
        # Of the variances, and of the means.
        varied = self.spread() - 2 * np.vdot(weight.T, self.cross()) + np.vdot(self.covariance() @ weight.T, weight.T)
        return max(0.0, float(varied)) + float(np.square(t - weight @ a - bias).sum())

    def spread(self) -> float:
        """The mean square of t around its mean, summed over outputs."""
        t = self._t / self.count
        return max(0.0, self._tt / self.count - float(t @ t))
