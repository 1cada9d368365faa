"""Speed by hand: of paired times, with an interval from their order."""

import numpy as np
import pytest

from edge_qa.evaluation.speed import Speed, paired_speed


def test_a_disturbed_question_counts_no_more_than_another():
    """2.1 times as fast on every question; the first one was disturbed on four, and the means say 4.68."""
    other = [10.0] * 20
    first = [21.0] * 16 + [150.0] * 4
    assert np.mean(first) / np.mean(other) == pytest.approx(4.68)
    assert paired_speed(first, other) == Speed(2.1, 2.1, 2.1)


def test_the_interval_lies_between_two_ratios_as_tables_of_the_sign_test_say():
    """Of 10 ratios the 2nd and the 9th: 1 + 10 of 1,024 ways are 1.1 %, 1 + 10 + 45 would be 5.5 %."""
    speed = paired_speed(range(1, 11), [1.0] * 10)
    assert (speed.ratio, speed.low, speed.high) == (5.5, 2.0, 9.0)


@pytest.mark.parametrize(
    # Places from either end, by tables of the binomial distribution.
    ("count", "place"),
    [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (15, 3), (20, 5), (100, 39), (10_000, 4901)],
)
def test_which_ratios_they_are(count, place):
    speed = paired_speed(np.arange(1.0, count + 1), np.ones(count))
    assert (speed.low, speed.high) == (1 + place, count - place)


def test_it_reads_as_a_ratio_with_its_interval():
    assert str(Speed(2.104, 2.05, 2.161)) == "2.10x (2.05 to 2.16)"
