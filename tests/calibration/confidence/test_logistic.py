"""The monotone logistic fit against scipy's bounded L-BFGS-B on the same objective, made once."""

import numpy as np
import pytest

from calibration.confidence.logistic import fit_monotone

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(5)
    values = random.normal(size=(200, 3)) * [2, 3, 0.5] + [1, -2, 0]
    true = random.random(200) < 1 / (1 + np.exp(-(0.8 * values[:, 0] + 0.9 * values[:, 2] - 0.3)))
    return [dict(zip(NAMES, row, strict=True)) for row in values.tolist()], true


@pytest.mark.parametrize(
    ("signs", "wanted"),
    [
        ((1, 1, 1), (-0.325331, 0.741827, 0.007255, 0.605422)),
        # The third would be positive, and may not: it takes no part, and the others change with it.
        ((1, 1, -1), (-0.29062, 0.70961, 0.011046, 0.0)),
    ],
)
def test_the_weights_are_those_of_a_general_solver(data, signs, wanted):
    weights = fit_monotone(*data, dict(zip(NAMES, signs, strict=True)))
    assert weights == pytest.approx(dict(zip(("constant", *NAMES), wanted, strict=True)), abs=2e-5)


def test_a_term_that_says_nothing_and_a_part_that_is_perfect_give_finite_weights():
    terms = [{"a": float(value), "b": 1.0} for value in (-2, -1, 1, 2)]
    weights = fit_monotone(terms, np.array([False, False, True, True]), {"a": 1, "b": 1})
    assert 0 < weights["a"] < 5
    assert weights["b"] == pytest.approx(0)
    assert fit_monotone(terms, np.full(4, True), {"a": 1, "b": 1})["constant"] > 1
