"""The exact binomial bound against printed tables and against its definition in whole numbers."""

from fractions import Fraction
from math import comb

import pytest

from calibration.statistics.binomial import largest_rate


@pytest.mark.parametrize(
    ("events", "trials", "rate"),
    [
        # Upper ends of 95 % Clopper-Pearson intervals as statistics tables print them.
        (0, 10, 0.3085),
        (1, 10, 0.4450),
        (5, 10, 0.8129),
        (0, 20, 0.1684),
        (2, 20, 0.3170),
        (3, 100, 0.0852),
        (10, 10, 1.0),
        (0, 1, 0.975),
    ],
)
def test_it_is_what_the_tables_say(events, trials, rate):
    assert largest_rate(events, trials) == pytest.approx(rate, abs=5e-5)


def test_without_an_event_it_is_the_rule_of_three():
    assert largest_rate(0, 1000, tail=0.05) == pytest.approx(3 / 1000, rel=0.005)
    assert largest_rate(0, 12) == pytest.approx(1 - 0.025 ** (1 / 12), rel=1e-12)


@pytest.mark.parametrize(("events", "trials"), [(1, 40), (4, 10_570), (4, 100_000)])
def test_so_few_events_have_the_probability_of_the_tail(events, trials):
    rate = Fraction(largest_rate(events, trials))
    probability = sum(comb(trials, k) * float(rate) ** k * float(1 - rate) ** (trials - k) for k in range(events + 1))
    assert probability == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize(("events", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_counts_that_cannot_be_are_refused(events, trials):
    with pytest.raises(ValueError, match="events"):
        largest_rate(events, trials)
