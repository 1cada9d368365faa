"""The paired bootstrap against cases that can be counted by hand, and against the loop of the textbook."""

import numpy as np
import pytest

from calibration.statistics.bootstrap import paired_drop, resampled_interval


def test_two_questions_by_hand():
    """The means of two draws from {0, 100} are 0, 50, 100 with 1/4, 1/2, 1/4: 95 % needs both ends."""
    assert resampled_interval(np.array([0.0, 100.0])) == (0, 100)
    assert (paired_drop([1, 1], [1, 0]).points, paired_drop([1, 1], [1, 0]).questions) == (50, 2)


def test_six_questions_by_hand():
    """One of six dropped: no loss in (5/6)^6 = 33 % of the draws, four losses or more of six in under 2.5 %."""
    # P(3 or more of 6) = 6.2 %, P(4 or more) = 0.87 %: the 97.5 % point is 3 of 6.
    assert resampled_interval(np.array([100.0, 0, 0, 0, 0, 0])) == pytest.approx((0, 50))


@pytest.mark.parametrize(
    ("before", "after", "low", "high"),
    [
        # No question of 12 changed: at most 1 - 0.025 ** (1 / 12) = 26.46 % of all do, to either side.
        ([1] * 12, [1] * 12, -26.46, 26.46),
        # One of ten lost, none gained: tables give 0.4450 for 1 of 10 and 0.3085 for 0 of 10.
        ([1] * 10, [0.5] + [1] * 9, -30.85, 44.50),
        # Two of twenty gained, whatever they gained.
        ([0.5, 0] + [1] * 18, [1] * 20, -31.70, 16.84),
        ([1], [0], -97.5, 100),
    ],
)
def test_where_hardly_a_question_changed_the_interval_is_the_exact_bound(before, after, low, high):
    drop = paired_drop(before, after)
    assert drop.exact
    assert (drop.low, drop.high) == pytest.approx((low, high), abs=0.005)
    assert drop.changed == sum(a != b for a, b in zip(before, after, strict=True))


def test_five_questions_that_changed_are_drawn_from():
    before, after = np.ones(100), np.array([0.0] * 5 + [1.0] * 95)
    drop = paired_drop(before, after)
    assert (drop.changed, drop.exact) == (5, False)
    assert (drop.low, drop.high) == resampled_interval(100 * (before - after))


def test_a_loss_that_all_questions_share_is_certain():
    drop = paired_drop(np.linspace(0.5, 1, 40), np.linspace(0.25, 0.75, 40))
    assert (drop.points, drop.low, drop.high) == pytest.approx((25, 25, 25))


def test_a_gain_is_a_negative_drop():
    assert paired_drop([0, 0, 1], [1, 1, 1]).points == pytest.approx(-200 / 3)


def test_the_textbook_loop_gives_the_same_interval():
    random = np.random.default_rng(7)
    before, after = random.choice([0.0, 0.4, 1.0], 150), random.choice([0.0, 0.5, 1.0], 150)
    loop = np.random.default_rng(8)
    means = []
    for _ in range(4000):
        drawn = loop.integers(0, 150, 150)
        means.append(100 * (before[drawn].mean() - after[drawn].mean()))
    drop = paired_drop(before, after)
    assert (drop.low, drop.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.6)


def test_questions_stay_paired():
    scores = np.tile([0.0, 1.0], 50)
    assert resampled_interval(scores - scores) == (0, 0)
    assert paired_drop(scores, scores[::-1]).high > 10


def test_the_seed_fixes_the_interval():
    before, after = np.random.default_rng(0).random((2, 50))
    assert paired_drop(before, after) == paired_drop(before, after)
    assert paired_drop(before, after) != paired_drop(before, after, seed=1)


@pytest.mark.parametrize("shape", [(0,), (2, 2)])
def test_only_a_row_of_scores_can_be_compared(shape):
    with pytest.raises(ValueError, match="wanted"):
        paired_drop(np.zeros(shape), np.zeros(shape))
