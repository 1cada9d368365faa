"""What a token budget lost, the front, and when its questions are cut short: by hand-computed cases."""

import numpy as np
import pytest

from calibration.token_budgets.latency_fit import fit_costs
from calibration.token_budgets.trials import Loss, Trial, front, stopped


def trial(latency, drop, verdict="complete"):
    return Trial((1.0, 0.5), latency, 90.0, drop, 0.1, 100, verdict, 0)


def test_a_loss_is_paired_and_knows_its_error():
    # Differences 0, 100, 0, 0: mean 25, variance 1875, and half a question of four: sqrt(1875 / 4 + 12.5^2) = 25.
    loss = Loss.of([1, 1, 1, 0], [1, 0, 1, 0])
    assert (loss.points, loss.error, loss.questions) == (25.0, 25.0, 4)
    assert loss.kindest == pytest.approx(25 - 1.64 * 25)


def test_a_hundred_equal_answers_are_not_certainty():
    # sqrt(0 + (50 / 100)^2)
    assert Loss.of(np.ones(100), np.ones(100)).error == 0.5


def test_the_front_is_what_no_other_beats_in_both():
    a, b, c = trial(0.5, 3.0), trial(0.7, 1.0), trial(0.9, 0.0)
    beaten = trial(0.8, 1.5)
    outside = [trial(0.4, 3.1), trial(1.0, -1.0), trial(0.3, 0.0, "dominated"), trial(1.2, None, "not faster")]
    assert front([c, beaten, *outside, a, b], 3.0) == [a, b, c]
    assert front([trial(0.5, 1.0), trial(0.5, 2.0)], 3.0) == [trial(0.5, 1.0)]
    assert front([], 3.0) == []


@pytest.mark.parametrize(
    ("points", "error", "latency", "verdict"),
    [
        (5.0, 1.0, 0.6, "beyond the drop"),  # 5 - 1.64 = 3.36 > 3
        (4.6, 1.0, 0.6, None),  # 2.96 may still be within, and nothing of the front is as fast
        (4.6, 1.0, 0.7, "dominated"),  # one of the front is as fast and lost 1
        (2.6, 1.0, 0.9, None),  # 0.96 may still beat it
        (2.6, 0.9, 0.9, "dominated"),  # 1.124 may not
        (-1.0, 0.0, 0.99, None),
    ],
)
def test_a_budget_is_asked_on_while_it_may_join_the_front(points, error, latency, verdict):
    assert stopped(Loss(points, error, 100), latency, [trial(0.7, 1.0)], 3.0) == verdict


def test_the_cost_model_recovers_known_costs():
    random = np.random.default_rng(0)
    costs, base, dropping = np.array([0.35, 0.1, 0.25]), 0.3, 0.03
    measured = []
    for _ in range(400):
        shares = tuple(np.sort(random.choice([1.0, 0.8, 0.5, 0.2], 3))[::-1].tolist())
        drops = len({1.0, *shares}) - 1  # falling shares drop where a new value begins
        measured.append((shares, base + float(costs @ shares) + dropping * drops))
    model = fit_costs(3, measured)
    np.testing.assert_allclose(model.layers, costs, atol=0.005)
    assert model.base == pytest.approx(base, abs=0.005)
    assert model.dropping == pytest.approx(dropping, abs=0.005)
    assert model.predict((1.0, 0.5, 0.5)) == pytest.approx(0.3 + 0.35 + 0.05 + 0.125 + 0.03, abs=0.005)


def test_before_anything_is_measured_layers_cost_alike():
    model = fit_costs(4, [])
    assert model.predict((1.0,) * 4) == pytest.approx(1.0)
    # A tenth, 0.9 * 3 / 4, and 0.01 for the one layer that drops.
    assert model.predict((1.0, 1.0, 0.5, 0.5)) == pytest.approx(0.1 + 0.675 + 0.01)
