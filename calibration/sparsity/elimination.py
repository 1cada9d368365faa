"""Which blocks a Linear needs least, one after the other, with the best weights for what is left.

Backward elimination in least squares, the optimal brain surgeon of one layer (Hassibi and Stork 1993; Frantar
and Alistarh 2022, arXiv 2208.11580, for layers of today): without block B the error grows by
w_B [H^-1]_BB^-1 w_B^T, H being the covariance of the inputs that are left, and all other weights of these
outputs move to make it good. Outputs of one group lose the same inputs, and no group knows of another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.least_squares import Wide
from calibration.sparsity.block_pruning import Block, blocks_to_prune, lowest
from converters.recognising.patterns import Mask

# A group loses its blocks in so many rounds; within one, they are chosen as if each went alone.
_ROUNDS = 48


@dataclass(frozen=True, eq=False)
class Elimination:
    """The order in which the blocks of one group go, and by how much the error grows with each, (blocks,) each."""

    order: NDArray[np.int64]
    growth: Wide


def eliminate(covariance: Wide, cross: Wide, block: Block, ratio: float) -> tuple[Wide, Mask]:
    """Return the weight (out, in) with the share `ratio` of its blocks at zero, and which weights stay.

    covariance: of the inputs, (in, in), positive definite. cross: of inputs and targets, (in, out).
    The number of blocks is exact for the matrix (`blocks_to_prune`), and free for every group: those go, of all,
    that cost least. Outputs and inputs at the end that make no whole block keep all their weights.
    """
    outputs = cross.shape[1]
    height, width = block
    weight: Wide = np.linalg.solve(covariance, cross).T
    mask: Mask = np.ones(weight.shape, bool)
    groups = [slice(first, first + height) for first in range(0, outputs - height + 1, height)]
    inverse = np.linalg.inv(covariance).astype(np.float32)
    found = [removal_order(inverse, weight[rows].astype(np.float32), width) for rows in groups]
    if not found:
        return weight, mask
    # A block that comes later in its group is not to go before: growth that falls counts as what came before.
    growth = np.maximum.accumulate(np.stack([group.growth for group in found]), axis=1)
    counts = lowest(growth, blocks_to_prune(weight.shape, block, ratio)).sum(axis=1)
    for rows, group, count in zip(groups, found, counts.tolist(), strict=True):
        gone = (group.order[:count, None] * width + np.arange(width)).ravel()
        mask[rows, gone] = False
        stays = np.flatnonzero(mask[rows.start])
        weight[rows] = 0
        if stays.size:
            weight[rows, stays] = np.linalg.solve(covariance[np.ix_(stays, stays)], cross[stays, rows]).T
    return weight, mask


def removal_order(inverse: NDArray[np.float32], weight: NDArray[np.float32], width: int) -> Elimination:
    """Return how the blocks of `width` inputs go that one group of outputs reads.

    inverse: of the covariance of the inputs, (in, in). weight: the least squares, (outputs of the group, in).
    """
    blocks = np.arange(len(inverse) // width)
    step = -(-len(blocks) // _ROUNDS)
    order, growth = [], []
    while blocks.size:
        scores = _growth_alone(inverse, weight, len(blocks), width)
        chosen = np.argsort(scores, kind="stable")[:step]
        order.append(blocks[chosen])
        gone = (chosen[:, None] * width + np.arange(width)).ravel()
        stays = np.setdiff1d(np.arange(len(inverse)), gone)
        between = inverse[np.ix_(stays, gone)]
        # (gone, outputs and stays): both solutions at once.
        solved = np.linalg.solve(inverse[np.ix_(gone, gone)], np.vstack([weight[:, gone], between]).T)
        error, back = np.split(solved, [len(weight)], axis=1)
        together = float(np.vdot(weight[:, gone].T, error))
        shares = scores[chosen].astype(np.float64)
        growth.append(together * shares / max(float(shares.sum()), 1e-30))
        weight = weight[:, stays] - error.T @ between.T
        inverse = inverse[np.ix_(stays, stays)] - between @ back
        blocks = np.delete(blocks, chosen)
    return Elimination(np.concatenate(order), np.concatenate(growth))


def _growth_alone(inverse: NDArray[np.float32], weight: NDArray[np.float32], blocks: int, width: int) -> Wide:
    """By how much the error grows if one block goes, of each, (blocks,)."""
    whole = blocks * width
    if width == 1:
        # Never below 0, whatever rounding did to the inverse.
        diagonal = np.maximum(np.diagonal(inverse)[:whole], np.finfo(np.float32).tiny)
        return np.asarray((weight[:, :whole].astype(np.float64) ** 2).sum(axis=0) / diagonal)
    places = np.arange(whole).reshape(blocks, width)
    squares = inverse[places[:, :, None], places[:, None, :]].astype(np.float64)
    parts = weight[:, :whole].reshape(len(weight), blocks, width).transpose(1, 2, 0).astype(np.float64)
    return np.asarray((parts * np.linalg.solve(squares, parts)).sum(axis=(1, 2)))
