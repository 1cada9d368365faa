"""Reliability, levels and the limit for false answers, by hand."""

import numpy as np
import pytest

from calibration.confidence.reliability import expected_calibration_error, levels, reliability, risk_limit

CONFIDENCE = np.array([0.05, 0.15, 0.12, 0.65, 0.95, 1.0])
RIGHT = np.array([False, False, True, True, True, True])
ANSWERABLE = np.array([False, False, True, True, True, True])


def test_bins_say_what_was_said_and_what_was_right():
    bins = reliability(CONFIDENCE, RIGHT)
    assert [(one.low, one.answers, one.right) for one in bins] == [
        (0.0, 1, 0.0),
        (0.1, 2, 0.5),
        (0.6, 1, 1.0),
        (0.9, 2, 1.0),  # 1.0 is in the last bin
    ]
    assert [one.confidence for one in bins] == pytest.approx([0.05, 0.135, 0.65, 0.975])
    # (1 * 0.05 + 2 * 0.365 + 1 * 0.35 + 2 * 0.025) / 6
    assert expected_calibration_error(bins) == pytest.approx(1.18 / 6)


def test_a_level_says_what_is_answered_and_what_of_it_is_wrong():
    one = levels(CONFIDENCE, RIGHT, ANSWERABLE)[0]
    assert one.min_confidence == 0.1
    assert (one.answered, one.wrong, one.kept, one.false_answers) == pytest.approx((5 / 6, 1 / 5, 1.0, 1 / 2))
    last = levels(CONFIDENCE, RIGHT, ANSWERABLE)[-1]
    assert (last.answered, last.wrong, last.kept, last.false_answers) == pytest.approx((2 / 6, 0, 2 / 4, 0))


def test_the_limit_is_that_of_conformal_risk_control():
    # 19 questions without an answer: (answered + 1) / 20 <= 0.1 allows one, so the second most confident is out.
    confidence = np.append(np.arange(1, 20) / 20, [0.91, 0.5])
    answerable = np.append(np.full(19, False), [True, True])
    limit = risk_limit(confidence, answerable, answerable, 0.1)
    assert limit is not None
    assert (limit.min_confidence, limit.questions, limit.kept) == (0.9001, 19, 0.5)
    assert (confidence[:19] >= limit.min_confidence).sum() == 1


def test_too_few_questions_without_an_answer_give_no_limit():
    # With eight even no false answer at all leaves (0 + 1) / 9 > 0.1; with nine it is 0.1.
    flags = np.full(8, False)
    assert risk_limit(np.full(8, 0.3), flags, flags, 0.1) is None
    nine = risk_limit(np.full(9, 0.3), np.full(9, False), np.full(9, False), 0.1)
    assert nine is not None
    assert nine.min_confidence == 0.3001


def test_the_limit_holds_on_average_over_many_draws():
    random = np.random.default_rng(2)
    shares = []
    for _ in range(400):
        confidence = random.random(60)
        flags = np.full(60, False)
        limit = risk_limit(confidence, flags, flags, 0.1)
        assert limit is not None
        shares.append(1 - limit.min_confidence)  # of a uniform confidence, what lies above it
    assert 0.085 < np.mean(shares) <= 0.1
