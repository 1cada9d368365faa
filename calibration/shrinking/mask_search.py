"""Which heads and neurons stay: the least loss under a cost constraint, then swaps inside each layer.

Kwon et al. 2022 (arXiv 2204.09656). The search takes the masks to be independent, so that the loss of a
choice is the sum of the scores of what goes, and the best choice of k heads of a layer is its k
highest scores. What is left, how many each layer keeps, is a multiple-choice knapsack: one option for
each attention and each feed-forward block, with a measured cost that need not be linear in it. Such a
separable problem has a global optimum that dynamic programming finds, and it is found here, up to the
thinning below. The rearrangement then swaps what stays for what goes inside one layer, number for
number, while that lowers the loss with the products of gradients (off the Fisher diagonal), which
the search cannot see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.shrinking.structure_costs import StructureCosts
from converters.inspection.zero_patterns import Mask

Scores = NDArray[np.float64]

# Of the partial choices on the Pareto front of (cost, loss), the best one in each of this many equal
# steps of cost is kept. Fewer points than that are all kept, and the result is then exactly optimal.
_STEPS = 8000


@dataclass(frozen=True, eq=False)
class Masks:
    """What stays, True, in each layer: heads (heads,), neurons (width,)."""

    heads: tuple[Mask, ...]
    neurons: tuple[Mask, ...]

    @property
    def head_counts(self) -> tuple[int, ...]:
        """How many heads stay in each layer."""
        return tuple(int(mask.sum()) for mask in self.heads)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many neurons stay in each layer."""
        return tuple(int(mask.sum()) for mask in self.neurons)

    @property
    def remove_anything(self) -> bool:
        """True if a head or a neuron goes."""
        return not all(mask.all() for mask in (*self.heads, *self.neurons))


def search_masks(
    head_scores: Sequence[Scores], neuron_scores: Sequence[Scores], costs: StructureCosts, budget: float
) -> Masks:
    """Return the masks of the smallest sum of removed scores whose cost is at most `budget`.

    head_scores, neuron_scores: by layer, none negative; of equal ones the first goes.
    Raises ValueError if even the cheapest masks cost more.
    """
    blocks: list[tuple[Scores, Sequence[int]]] = [(scores, range(len(scores) + 1)) for scores in head_scores]
    blocks += list(zip(neuron_scores, costs.width_options, strict=True))
    orders = [np.argsort(scores, kind="stable") for scores, _ in blocks]
    losses = []
    for (scores, options), order in zip(blocks, orders, strict=True):
        removed = np.concatenate([[0.0], np.cumsum(scores[order])])  # loss of removing the lowest 0, 1, ..
        losses.append(removed[len(scores) - np.array(options)])
    chosen = choose_options([np.array(cost) for cost in (*costs.heads, *costs.widths)], losses, budget - costs.base)
    masks = []
    for (scores, options), order, option in zip(blocks, orders, chosen, strict=True):
        stays = np.zeros(len(scores), bool)
        stays[order[len(scores) - options[option] :]] = True
        masks.append(stays)
    return Masks(tuple(masks[: len(head_scores)]), tuple(masks[len(head_scores) :]))


def choose_options(costs: Sequence[Scores], losses: Sequence[Scores], budget: float) -> list[int]:
    """Choose one option of every block, so that the sum of losses is least and that of costs at most `budget`.

    costs, losses: by block, (options,). Raises ValueError if no choice is cheap enough.
    """
    total, value = np.zeros(1), np.zeros(1)  # of the partial choices on the front
    steps: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    cheapest = sum(float(cost.min()) for cost in costs)
    if cheapest > budget * (1 + 1e-12):
        raise ValueError(f"the cheapest choice costs {cheapest:g}, more than {budget:g}")
    for cost, loss in zip(costs, losses, strict=True):
        cheapest -= float(cost.min())  # of the blocks that are still to come
        all_costs = (total[:, None] + cost).ravel()
        all_losses = (value[:, None] + loss).ravel()
        affordable = np.flatnonzero(all_costs <= (budget - cheapest) + 1e-12 * abs(budget))
        order = affordable[np.lexsort((all_losses[affordable], all_costs[affordable]))]
        # Rising cost is worth it only where the loss falls below everything cheaper.
        best = np.minimum.accumulate(all_losses[order])
        front = order[np.append(True, best[1:] < best[:-1])]
        if len(front) > _STEPS:
            place = np.floor(all_costs[front] / max(budget, 1e-300) * _STEPS).astype(np.int64)
            # The last of a step costs most, and loses least.
            front = front[np.append(place[1:] != place[:-1], True)]
        steps.append((front // len(cost), front % len(cost)))
        total, value = all_costs[front], all_losses[front]
    at, chosen = len(total) - 1, []
    for parents, options in reversed(steps):
        chosen.append(int(options[at]))
        at = int(parents[at])
    return chosen[::-1]


def rearrange(mask: Mask, fisher: NDArray[np.float64]) -> Mask:
    """Swap one that stays for one that goes, the best pair each time, while that lowers the quadratic loss.

    fisher: (masks, masks) of one layer. The loss of a mask is the sum of the matrix over what goes.
    """
    stays = mask.copy()
    diagonal = np.diag(fisher)
    rows = fisher[:, ~stays].sum(axis=1)  # of each mask with everything that goes
    for _ in range(len(mask)):
        gone, kept = np.flatnonzero(~stays), np.flatnonzero(stays)
        if not len(gone) or not len(kept):
            break
        back = diagonal[gone] - 2 * rows[gone]
        away = diagonal[kept] + 2 * rows[kept]
        change = back[:, None] + away - 2 * fisher[np.ix_(gone, kept)]
        first, second = divmod(int(change.argmin()), len(kept))
        if change[first, second] >= -1e-12 * max(float(diagonal.sum()), 1e-300):
            break
        stays[gone[first]], stays[kept[second]] = True, False
        rows += fisher[:, kept[second]] - fisher[:, gone[first]]
    return stays
