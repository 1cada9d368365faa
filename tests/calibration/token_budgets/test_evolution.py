"""Which budgets a budget search proposes."""

from itertools import combinations_with_replacement

import numpy as np
import pytest

from calibration.token_budgets.evolution import GRID, Space, evolve, hopeless
from calibration.token_budgets.latency_fit import fit_costs
from calibration.token_budgets.trials import Trial, front
from tests.support.budget_objective import SPACE, every_budget, measured, true_front


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((1.0, 0.55, 0.54), (1.0, 0.6, 0.5)),  # halfway: the larger
        ((0.5, 0.8, 0.31), (0.5, 0.5, 0.3)),  # what is gone is gone
        ((0.01, 0.01, 0.01), (0.1, 0.1, 0.1)),
        ((2.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    ],
)
def test_any_shares_become_the_nearest_budget(given, wanted):
    assert Space((True, True, True)).repaired(given) == wanted


def test_a_layer_without_heads_keeps_what_it_gets():
    assert Space((False, True, False, True)).repaired((0.5, 0.5, 0.2, 0.2)) == (1.0, 0.5, 0.5, 0.2)


def test_a_search_begins_with_constant_rates_and_single_drops():
    # Rates: the last layer keeps 0.25, so each of the two layers keeps half of what it gets; and so on.
    space = Space((True, True), (1.0, 0.5, 0.25))
    assert space.beginnings(4) == [(0.5, 0.5), (0.5, 0.25), (1.0, 0.5)]
    twelve = Space((True,) * 12)
    beginnings = twelve.beginnings(16)
    assert len(beginnings) == len(set(beginnings)) == 16
    assert sum(len(set(shares) - {1.0}) == 1 for shares in beginnings) >= 8  # the single drops


def test_mutations_and_crossings_stay_budgets_and_reach_everything():
    random = np.random.default_rng(0)
    reached, shares = set(), SPACE.full
    for _ in range(2000):
        shares = SPACE.mutated(shares, random)
        reached.add(shares)
    assert reached == {*every_budget(), SPACE.full}
    for one in reached:
        for other in reached:
            crossed = SPACE.crossed(one, other)
            assert crossed in reached
            assert all(min(a, b) <= c <= max(a, b) for a, b, c in zip(one, other, crossed, strict=True))


def test_layers_without_heads_never_drop():
    space = Space((True, False, True, False))
    random = np.random.default_rng(0)
    shares = space.full
    for _ in range(200):
        shares = space.mutated(shares, random)
        assert shares[1] == shares[0]
        assert shares[3] == shares[2]
        assert set(shares) <= set(GRID)


def search(seed=0, **options):
    options = {"population": 6, "generations": 6, "allowance": 8.0, **options}
    return evolve(SPACE, measured, seed=seed, **options)


@pytest.mark.parametrize("seed", range(5))
def test_the_known_front_is_found_without_measuring_everything(seed):
    trials = search(seed)
    assert {trial.shares for trial in front(trials, 8.0)} == true_front(8.0)
    assert len(trials) < len(every_budget())


def test_a_large_space_is_searched_to_within_two_hundredths_of_the_best():
    # 5004 budgets of six layers; what is lost is lost for good, and F1 is known to a fifth of a point.
    space, worth = Space((True,) * 6), np.array([1.0, 0.5, 0.3, 0.15, 0.08, 0.03])
    random = np.random.default_rng(0)

    def lost(shares):
        return 80 * float(1 - np.prod(1 - worth * (1 - np.array(shares)) ** 2))

    def latency(shares):
        return 0.1 + 0.15 * sum(shares)

    def objective(shares, generation, trials):
        drop = lost(shares) + random.normal(0, 0.2)
        return Trial(
            shares, latency(shares) + random.normal(0, 0.01), 90 - drop, drop, 0.2, 1000, "complete", generation
        )

    trials = evolve(space, objective, population=16, generations=8, allowance=4.0, seed=0)
    every = [shares for shares in combinations_with_replacement(space.grid, 6) if shares != space.full]
    for allowed in (0.5, 1.0, 2.0, 3.0):
        best, found = (
            min(latency(shares) for shares in tried if lost(shares) <= allowed)
            for tried in (every, [trial.shares for trial in trials])
        )
        assert found <= best + 0.02


def test_nothing_is_measured_twice_and_the_full_model_never():
    shares = [trial.shares for trial in search(population=50, generations=10)]
    assert len(shares) == len(set(shares))
    assert SPACE.full not in shares
    assert {trial.shares for trial in search(population=4, generations=1)} <= set(every_budget())


def test_the_same_seed_proposes_the_same():
    space = Space((True,) * 6)

    def objective(shares, generation, trials):
        lost = sum((1 - share) ** 2 * 2 for share in shares)
        return Trial(shares, 0.1 + 0.15 * sum(shares), 90 - lost, lost, 0.0, 9, "complete", generation)

    def run(seed):
        return evolve(space, objective, population=8, generations=4, allowance=3.0, seed=seed)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert {trial.generation for trial in run(1)} == {0, 1, 2, 3}


def test_it_stops_between_two_measurements_and_tells_after_each():
    told = []
    trials = search(stop=lambda: len(told) == 4, told=lambda trials: told.append(len(trials)))
    assert told == [1, 2, 3, 4]
    assert len(trials) == 4


def trial(shares, latency, drop, error=0.0):
    return Trial(shares, latency, 90 - drop, drop, error, 100, "complete", 0)


def test_three_reasons_to_leave_a_budget_out():
    costs = fit_costs(2, [])  # 0.1 + 0.45 a layer, and 0.01 for each that drops
    lost = trial((0.5, 0.3), 0.5, 9.0)
    good = trial((1.0, 0.6), 0.85, 1.0)
    assert not hopeless((1.0, 0.5), costs, [lost, good], [good], 2.0)
    # It keeps nowhere more than what lost too much ...
    assert hopeless((0.4, 0.3), costs, [lost, good], [good], 2.0)
    # ... unless that may have been chance: 9 - 1.64 * 5 is 0.8.
    assert not hopeless((0.4, 0.3), costs, [trial((0.5, 0.3), 0.5, 9.0, 5.0)], [], 2.0)
    # It keeps nowhere more than one of the front, and is predicted to take 0.1 + 0.45 * 1.5 + 0.01 = 0.785.
    assert hopeless((1.0, 0.5), costs, [], [trial((1.0, 0.6), 0.78, 1.0)], 2.0)
    # It is predicted to take 0.1 + 0.45 * 1.99 + 0.01 = 1.0055.
    assert hopeless((1.0, 0.99), costs, [], [], 2.0)
