"""Evolution over token budgets: which to measure next.

After Length-Adaptive Transformer (Kim and Cho 2020, arXiv 2010.07003): it begins with constant drop
rates, and parents are the Pareto front of (latency, F1). Ours besides: beginnings that drop once, and
three reasons to leave a budget out before it is measured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.token_budgets.latency_fit import CostModel, fit_costs
from calibration.token_budgets.trials import Shares, Trial, front

GRID = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

# How often a generation tries to find each of its children among those not seen yet.
_ATTEMPTS = 20

Measure = Callable[[Shares, int, Sequence[Trial]], Trial]


@dataclass(frozen=True)
class Space:
    """All budgets: a share of the grid for each layer, none above the one before.

    droppable: for each layer whether it can drop, that is whether it has attention heads.
    grid: falling, from 1.
    """

    droppable: tuple[bool, ...]
    grid: tuple[float, ...] = GRID

    @property
    def full(self) -> Shares:
        """The budget that drops nothing."""
        return (1.0,) * len(self.droppable)

    def repaired(self, shares: Iterable[float]) -> Shares:
        """Return the budget nearest to any shares: each on the grid, later ones held down by earlier ones."""
        result: list[float] = []
        for share, free in zip(shares, self.droppable, strict=True):
            before = result[-1] if result else 1.0
            # Halfway between two, the larger; rounded, because 0.55 is not halfway in binary.
            nearest = min(self.grid, key=lambda one: (round(abs(one - share), 6), -one))
            result.append(min(before, nearest) if free else before)
        return tuple(result)

    def beginnings(self, count: int) -> list[Shares]:
        """Return up to `count` budgets to begin with: constant drop rates and single drops, half and half."""
        layers = len(self.droppable)
        rates = [self.repaired(last ** ((i + 1) / layers) for i in range(layers)) for last in self.grid[1:]]
        half = self.grid[len(self.grid) // 2]
        single = [self.repaired([1.0] * layer + [half] * (layers - layer)) for layer in range(1, layers)]
        chosen = [*_spread(rates, count - count // 2), *_spread(single, count // 2)]
        return [shares for shares in dict.fromkeys(chosen) if shares != self.full]

    def mutated(self, shares: Shares, random: np.random.Generator) -> Shares:
        """Give one layer another share, the next on the grid or any.

        Layers before it keep at least that, layers behind it at most.
        """
        places = [place for place, free in enumerate(self.droppable) if free]
        place = places[random.integers(len(places))]
        if random.random() < 0.5:
            step = self.grid.index(shares[place]) + int(random.choice([-1, 1]))
        else:
            step = int(random.integers(len(self.grid)))
        share = self.grid[min(max(step, 0), len(self.grid) - 1)]
        before = [max(one, share) for one in shares[:place]]
        behind = [min(one, share) for one in shares[place + 1 :]]
        return self.repaired([*before, share, *behind])

    def crossed(self, one: Shares, other: Shares) -> Shares:
        """Return the mean of two budgets."""
        return self.repaired((a + b) / 2 for a, b in zip(one, other, strict=True))


def evolve(
    space: Space,
    measure: Measure,
    *,
    population: int,
    generations: int,
    allowance: float,
    seed: int,
    stop: Callable[[], bool] = lambda: False,
    told: Callable[[Sequence[Trial]], None] = lambda trials: None,
) -> list[Trial]:
    """Measure up to population * generations budgets; returns all of them in the order measured.

    measure: (shares, generation, trials so far) -> what was measured. allowance: percent points of F1
    that a parent may have lost. stop: asked before each measurement. told: after each.
    What is proposed depends on the seed and on what was measured, and on nothing else.
    """
    random = np.random.default_rng(seed)
    trials: list[Trial] = []
    for generation in range(generations):
        children = _generation(space, trials, population, allowance, random)
        if not children:
            break
        for shares in children:
            if stop():
                return trials
            trials.append(measure(shares, generation, tuple(trials)))
            told(trials)
    return trials


def _generation(
    space: Space, trials: Sequence[Trial], population: int, allowance: float, random: np.random.Generator
) -> list[Shares]:
    children = [] if trials else space.beginnings(population)
    seen = {space.full, *children, *(trial.shares for trial in trials)}
    best = front(trials, allowance)
    costs = fit_costs(len(space.droppable), [(trial.shares, trial.latency) for trial in trials])
    parents = [trial.shares for trial in best] or [trial.shares for trial in _least_lost(trials, 4)] or [space.full]
    for child in _offspring(space, parents, _ATTEMPTS * population, random):
        if len(children) >= population:
            break
        if child not in seen and not hopeless(child, costs, trials, best, allowance):
            children.append(child)
        seen.add(child)
    return children


def _offspring(space: Space, parents: Sequence[Shares], attempts: int, random: np.random.Generator) -> Iterator[Shares]:
    for attempt in range(attempts):
        parent, other = (parents[place] for place in random.integers(len(parents), size=2).tolist())
        if attempt % 2 and len(parents) > 1:
            yield space.crossed(parent, other)
        else:
            yield space.mutated(parent, random)


def hopeless(child: Shares, costs: CostModel, trials: Sequence[Trial], best: Sequence[Trial], allowance: float) -> bool:
    """Return whether a budget is not worth measuring.

    That is where it is predicted to be no faster than the full model; where it keeps no more anywhere
    than one that lost too much; or no more than one of the front, without being faster.
    """
    latency = costs.predict(child)
    if latency >= 1:
        return True
    lost = (trial for trial in trials if trial.kindest is not None and trial.kindest > allowance)
    return any(_within(child, trial.shares) for trial in lost) or any(
        latency >= one.latency and _within(child, one.shares) for one in best
    )


def _within(one: Shares, other: Shares) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def _least_lost(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Where nothing is good enough yet, those that are nearest to it."""
    asked = [(trial.drop, place) for place, trial in enumerate(trials) if trial.drop is not None]
    return [trials[place] for _, place in sorted(asked)[:count]]


def _spread(items: Sequence[Shares], count: int) -> list[Shares]:
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]
