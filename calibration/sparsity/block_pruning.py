"""Choose the blocks of one weight matrix that become zero: those of the smallest score, up to a given share.

A block's score is the sum of |w| over it, or of |w| * ||x|| where the norms of the inputs are known
(Sun et al. 2023, arXiv 2306.11695). Blocks are aligned: the first one begins at output 0, input 0.
Rows and columns at the end that make no whole block stay as they are, because a kernel that skips
blocks can only use whole ones.
"""

import numpy as np
from numpy.typing import NDArray

from converters.inspection.zero_patterns import Mask
from converters.model.encoder import Array

Scores = NDArray[np.float64]
Block = tuple[int, int]  # (outputs, inputs)


def importance(weight: Array, norms: Scores | None = None) -> Scores:
    """Return |w| or |w| * ||x|| of every weight (out, in). norms: of the inputs, (in,)."""
    values = np.abs(weight.astype(np.float64))
    return values if norms is None else values * norms


def block_scores(weight: Array, block: Block, norms: Scores | None = None) -> Scores:
    """Return the score of every whole block, (blocks along outputs, blocks along inputs)."""
    rows, columns = (size // step for size, step in zip(weight.shape, block, strict=True))
    whole = importance(weight, norms)[: rows * block[0], : columns * block[1]]
    return np.asarray(whole.reshape(rows, block[0], columns, block[1]).sum(axis=(1, 3)))


def blocks_to_prune(shape: tuple[int, ...], block: Block, ratio: float) -> int:
    """Return how many blocks come nearest to the share `ratio` of a whole matrix (out, in); halves round up."""
    return int(ratio * shape[0] * shape[1] / (block[0] * block[1]) + 0.5)


def whole_blocks(shape: tuple[int, ...], block: Block) -> int:
    """Return how many whole blocks a matrix (out, in) holds."""
    return (shape[0] // block[0]) * (shape[1] // block[1])


def block_mask(weight: Array, block: Block, ratio: float, norms: Scores | None = None) -> Mask:
    """Return which weights (out, in) stay: all but the blocks of the smallest score, `blocks_to_prune` of them."""
    stays = ~lowest(block_scores(weight, block, norms), blocks_to_prune(weight.shape, block, ratio))
    mask: Mask = np.ones(weight.shape, bool)
    grown = stays.repeat(block[0], axis=0).repeat(block[1], axis=1)
    mask[: grown.shape[0], : grown.shape[1]] = grown
    return mask


def lowest(scores: Scores, count: int) -> Mask:
    """Return where the `count` smallest scores are; of equal ones those that come first."""
    flat = scores.ravel()
    if count <= 0:
        return np.zeros(scores.shape, bool)
    if count >= flat.size:
        return np.ones(scores.shape, bool)
    # Only the scores at the threshold need an order, so nothing is sorted.
    threshold = np.partition(flat, count - 1)[count - 1]
    chosen = flat < threshold
    ties = np.flatnonzero(flat == threshold)
    chosen[ties[: count - int(np.count_nonzero(chosen))]] = True
    return np.asarray(chosen.reshape(scores.shape))
