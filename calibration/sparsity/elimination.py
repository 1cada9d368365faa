"""Which blocks a Linear needs least, one after the other, with the best weights for what is left.

Backward elimination in least squares, the optimal brain surgeon of one layer (Hassibi and Stork 1993; Frantar
and Alistarh 2022, arXiv 2208.11580, for layers of today): without block B the error grows by
w_B [H^-1]_BB^-1 w_B^T, H being the covariance of the inputs that are left, and all other weights of these
outputs move to make it good. Outputs of one group lose the same inputs, and no group knows of another.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.sparsity.block_pruning import Block, blocks_to_prune, lowest
from calibration.statistics.least_squares import Wide
from converters.inspection.zero_patterns import Mask

# A group loses its blocks in at most so many rounds. Within one they go one by one, out of so many times as many:
# those that cost least when it begins. Only between rounds all others learn of it.
_ROUNDS = 48
_POOL = 8

Places = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Elimination:
    """The order in which the blocks of one group go, and by how much the error grows with each, (blocks,) each."""

    order: Places
    growth: Wide


def eliminate(
    covariance: Wide,
    cross: Wide,
    there: Mask,
    block: Block,
    ratio: float,
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Wide, Mask]:
    """Return the weight (out, in) with the share `ratio` of its blocks at zero, and which weights stay.

    covariance: of the inputs, (in, in), positive definite. cross: of inputs and targets, (in, out).
    there: weights that may be other than zero, (out, in); blocks without any count as gone already.
    The number of blocks is exact for the matrix (`blocks_to_prune`), and free for every group: those go, of all,
    that cost least. Outputs and inputs at the end that make no whole block lose nothing.
    advance: called when a group is done.
    """
    outputs, inputs = there.shape
    height, width = block
    mask: Mask = there.copy()
    weight: Wide = np.linalg.solve(covariance, cross).T.astype(np.float64, copy=False)
    inverse = np.linalg.inv(covariance).astype(np.float32)
    groups = [slice(first, first + height) for first in range(0, outputs - height + 1, height)]
    found = []
    for rows in groups if inputs >= width else ():
        left = there[rows, : inputs // width * width].reshape(height, -1, width).any(axis=(0, 2))
        found.append(removal_order(inverse, weight[rows].astype(np.float32), width, np.asarray(left, bool)))
        advance()
    if found:
        # A block that comes later in its group is not to go before: growth that falls counts as what came before.
        growth = np.maximum.accumulate(np.stack([group.growth for group in found]), axis=1)
        counts = lowest(growth, blocks_to_prune(there.shape, block, ratio)).sum(axis=1)
        for rows, group, count in zip(groups, found, counts.tolist(), strict=True):
            mask[rows, _members(group.order[:count], width)] = False
    for outs, stays in _alike(mask, height):
        weight[outs] = 0
        if stays.size:
            solved = np.linalg.solve(covariance[np.ix_(stays, stays)], cross[np.ix_(stays, outs)])
            weight[np.ix_(outs, stays)] = solved.T
    return weight, mask


def removal_order(inverse: Floats, weight: Floats, width: int, there: Mask) -> Elimination:
    """Return how the blocks of `width` inputs go that one group of outputs reads.

    inverse: of the covariance of the inputs, (in, in). weight: the least squares, (outputs of the group, in).
    there: of each block; those that are not go first, and cost nothing.
    """
    blocks = np.arange(len(there))
    order, growth = [], []
    if not there.all():
        absent = np.flatnonzero(~there)
        order.append(absent)
        growth.append(np.zeros(len(absent)))
        inverse, weight = _without(inverse, weight, _members(absent, width))
        blocks = blocks[there]
    step = max(1, -(-len(blocks) // _ROUNDS))
    while blocks.size:
        chosen, costs = _cheapest(inverse, weight, len(blocks), width, step)
        order.append(blocks[chosen])
        growth.append(costs)
        inverse, weight = _without(inverse, weight, _members(chosen, width))
        blocks = np.delete(blocks, chosen)
    return Elimination(np.concatenate(order), np.concatenate(growth))


def _cheapest(inverse: Floats, weight: Floats, blocks: int, width: int, step: int) -> tuple[Places, Wide]:
    """Return `step` of the blocks that go next, and what each costs once those before it went."""
    pool = np.argsort(_growth_alone(inverse, weight, blocks, width), kind="stable")[: _POOL * step]
    members = _members(pool, width)
    small, part = inverse[np.ix_(members, members)].astype(np.float64), weight[:, members].astype(np.float64)
    here: list[int] = []
    costs = []
    for _ in range(min(step, len(pool))):
        scores = _growth_alone(small, part, len(pool), width)
        scores[here] = np.inf
        best = int(scores.argmin())
        here.append(best)
        costs.append(scores[best])
        gone = slice(best * width, (best + 1) * width)
        back = small[gone] / small[gone, gone] if width == 1 else np.linalg.solve(small[gone, gone], small[gone])
        part -= part[:, gone] @ back
        small -= small[:, gone] @ back
        # Nothing is left of it; one keeps it invertible.
        small[gone, gone] = np.eye(width)
    return pool[here], np.array(costs)


def _without(inverse: Floats, weight: Floats, gone: Places) -> tuple[Floats, Floats]:
    """Return inverse and weight of the least squares that has these inputs no more."""
    stays = np.delete(np.arange(len(inverse)), gone)
    between = inverse[np.ix_(gone, stays)]
    back = np.linalg.solve(inverse[np.ix_(gone, gone)], between)
    return inverse[np.ix_(stays, stays)] - between.T @ back, weight[:, stays] - weight[:, gone] @ back


def _growth_alone(inverse: Floats, weight: Floats, blocks: int, width: int) -> Wide:
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


def _members(blocks: Places, width: int) -> Places:
    """The inputs that are in these blocks."""
    return np.asarray((blocks[:, None] * width + np.arange(width)).ravel())


def _alike(mask: Mask, height: int) -> Iterator[tuple[Places, Places]]:
    """Yield outputs that keep the same inputs, and which they are: those of a group, as a rule."""
    for first in range(0, len(mask), height):
        patterns, kinds = np.unique(mask[first : first + height], axis=0, return_inverse=True)
        for kind, pattern in enumerate(patterns):
            yield first + np.flatnonzero(kinds.ravel() == kind), np.flatnonzero(pattern)
