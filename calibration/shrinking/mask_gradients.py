"""Gradients of a loss with respect to masks on heads and neurons, and the Fisher information that they hold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gradients = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaskGradients:
    """One row a sample, one array a layer: heads (samples, heads), neurons (samples, width)."""

    heads: tuple[Gradients, ...]
    neurons: tuple[Gradients, ...]


def fisher_diagonal(gradients: Gradients) -> NDArray[np.float64]:
    """The mean over samples of the squared gradient of each mask, (masks,)."""
    return np.asarray(np.mean(gradients.astype(np.float64) ** 2, axis=0))


def fisher_matrix(gradients: Gradients) -> NDArray[np.float64]:
    """The mean over samples of the products of the gradients of each two masks of one layer, (masks, masks)."""
    wide = gradients.astype(np.float64)
    return np.asarray(wide.T @ wide / max(1, len(wide)))
