"""INT8 weights that cannot overflow where 8-bit products are added in 16 bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.quantization.overflow import fit_channels, fit_pairs
from converters.ir.int8_pairs import largest_pair

INT8 = arrays(np.int8, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=st.integers(-127, 127))


@pytest.mark.parametrize(
    ("pair", "fitted"),
    [
        ([127, 127], [64, 64]),
        ([127, 1], [127, 1]),
        ([127, -2], [126, -2]),
        ([-100, -40], [-94, -34]),
        ([100, 41], [93, 35]),
        ([64, 64], [64, 64]),
    ],
)
def test_pairs_by_hand(pair, fitted):
    assert fit_pairs(np.array([pair], np.int8)).tolist() == [fitted]


def saturating(weights: np.ndarray, activations: np.ndarray) -> np.ndarray:
    """What a CPU without VNNI computes: neighbouring products added in a 16-bit lane that saturates."""
    if weights.shape[1] % 2:
        weights, activations = np.pad(weights, ((0, 0), (0, 1))), np.pad(activations, (0, 1))
    products = weights.astype(np.int64) * activations.astype(np.int64)
    return np.clip(products.reshape(len(weights), -1, 2).sum(axis=2), -32768, 32767).sum(axis=1)


@settings(max_examples=200, deadline=None)
@given(INT8)
def test_no_activations_make_fitted_weights_overflow(weights):
    fitted, _ = fit_channels(weights)
    assert largest_pair(fitted) <= 128
    brightest = np.full(weights.shape[1], 255)
    np.testing.assert_array_equal(saturating(fitted, brightest), fitted.astype(np.int64) @ brightest)


def test_full_weights_do_overflow():
    weights, brightest = np.full((1, 2), 127, np.int8), np.full(2, 255)
    assert saturating(weights, brightest) != weights.astype(np.int64) @ brightest


@settings(max_examples=200, deadline=None)
@given(INT8)
def test_no_channel_fares_worse_than_with_seven_bits(weights):
    fitted, factor = fit_channels(weights)
    error = np.square(fitted * factor - weights).sum(axis=1)
    shrink = np.minimum(1, 64 / np.maximum(np.abs(weights.astype(int)).max(axis=1, keepdims=True), 1))
    seven = np.rint(weights * shrink) / shrink
    assert (error <= np.square(seven - weights).sum(axis=1) + 1e-2).all()


@settings(max_examples=100, deadline=None)
@given(INT8)
def test_a_zero_stays_a_zero(weights):
    fitted, _ = fit_channels(weights)
    assert not fitted[weights == 0].any()


def test_normal_weights_keep_most_of_their_precision():
    weights = np.random.default_rng(0).normal(size=(64, 384))
    weights = np.rint(weights / np.abs(weights).max(axis=1, keepdims=True) * 127).astype(np.int8)
    fitted, factor = fit_channels(weights)
    error = np.square(fitted * factor - weights).mean()
    seven = np.square(2 * np.rint(weights / 2.0) - weights).mean()
    assert error < 0.6 * seven
