"""Refitting what follows removed heads and neurons."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.shrinking.mask_search import Masks
from calibration.shrinking.reconstruction import reconstruct, refit, solve
from calibration.shrinking.shrinker import cut
from calibration.statistics.least_squares import Moments
from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.model.encoder import Encoder, Linear
from converters.verification.reference import reference_logits
from tests.support.checkpoints import bert_config, write_checkpoint
from tests.support.random_windows import random_windows

SIZES = {"layers": 2, "hidden": 32, "heads": 4, "ffn": 48}


@pytest.fixture
def encoder(tmp_path) -> Encoder:
    return read_encoder(read_checkpoint(write_checkpoint(tmp_path / "model", config=bert_config(**SIZES))))


def moments(a: np.ndarray, t: np.ndarray) -> Moments:
    found = Moments(a.shape[1], t.shape[1])
    for part in np.array_split(np.arange(len(a)), 3):
        found.add(a[part], t[part])
    return found


def drawn(seed: int = 0, tokens: int = 400) -> tuple[np.ndarray, np.ndarray, Linear]:
    """Inputs with a mean, targets that hang on them with noise, and weights to begin with."""
    random = np.random.default_rng(seed)
    a = random.normal(1, 2, (tokens, 5)).astype(np.float32)
    true = np.random.default_rng(99).normal(size=(3, 5))
    t = (a @ true.T + [1, -2, 3] + random.normal(0, 0.1, (tokens, 3))).astype(np.float32)
    return a, t, Linear(np.zeros((3, 5), np.float32), np.zeros(3, np.float32))


def logits(encoder: Encoder, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack(reference_logits(encoder, inputs))


def test_without_a_ridge_it_is_least_squares():
    a, t, linear = drawn()
    weight, bias = solve(moments(a, t), linear, 1e-12)
    wanted, *_ = np.linalg.lstsq(np.hstack([a, np.ones((len(a), 1))]).astype(np.float64), t, rcond=None)
    np.testing.assert_allclose(np.column_stack([weight, bias]), wanted.T, atol=1e-4)


def test_a_ridge_pulls_towards_the_weights_as_they_are():
    # By hand: a = -1, 1 has variance 1; t = 3a, so that covariance 1, cross 3; from weight 1 with ridge 1
    # the change is (3 - 1) / (1 + 1) = 1.
    found = moments(np.array([[-1.0], [1.0]], np.float32), np.array([[-3.0], [3.0]], np.float32))
    weight, bias = solve(found, Linear(np.ones((1, 1)), np.zeros(1)), 1.0)
    assert (weight.item(), bias.item()) == pytest.approx((2.0, 0.0))


def test_an_infinite_ridge_corrects_the_bias_alone():
    a, t, _ = drawn()
    linear = Linear(np.random.default_rng(1).normal(size=(3, 5)), np.zeros(3))
    weight, bias = solve(moments(a, t), linear, float("inf"))
    np.testing.assert_array_equal(weight, linear.weight)
    np.testing.assert_allclose(bias, (t - a @ linear.weight.T).mean(axis=0), rtol=1e-4)


def test_a_matrix_without_inputs_gets_the_mean():
    t = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    linear, report = refit(Linear(np.zeros((2, 0)), np.zeros(2)), *[moments(np.zeros((2, 0), np.float32), t)] * 2, "x")
    np.testing.assert_allclose(linear.bias, [2, 4])
    assert report.after == pytest.approx(1.0)  # what varies cannot be had


def test_the_error_is_the_mean_square():
    a, t, _ = drawn()
    random = np.random.default_rng(2)
    weight, bias = random.normal(size=(3, 5)), random.normal(size=3)
    wanted = np.square(t - a @ weight.T - bias).sum(axis=1).mean()
    assert moments(a, t).error(weight, bias) == pytest.approx(wanted, rel=1e-4)
    assert moments(a, t).spread() == pytest.approx(np.square(t - t.mean(axis=0)).sum(axis=1).mean(), rel=1e-4)


def test_what_does_not_help_on_held_out_windows_is_not_taken():
    a, t, _ = drawn()
    true = Linear(np.random.default_rng(99).normal(size=(3, 5)), np.array([1.0, -2.0, 3.0]))
    fitting = moments(a, t[::-1])  # of other tokens: nothing to learn
    kept, report = refit(true, fitting, moments(*drawn(7)[:2]), "x")
    assert kept is true
    assert (report.ridge, report.after) == (None, report.before)


def test_a_neuron_that_others_make_up_is_recovered_exactly(encoder):
    """Neuron 7 does what neurons 1 and 2 do: their weights take over its own."""
    block = encoder.layers[1].feed_forwards[0]
    up, bias = block.up.weight.copy(), block.up.bias.copy()
    up[7], bias[7] = up[1], bias[1]
    block = replace(block, up=Linear(up, bias))
    layers = (encoder.layers[0], replace(encoder.layers[1], feed_forwards=(block,)))
    original = replace(encoder, layers=layers)
    neurons = np.arange(48) != 7
    small = cut(original, Masks((np.ones(4, bool),) * 2, (np.ones(48, bool), neurons)))
    held_out = random_windows(original, 8, 1)
    fitted, refits = reconstruct(original, small, random_windows(original, 60, 0), held_out)
    for inputs in held_out:
        wanted = logits(original, inputs)
        assert np.abs(logits(small, inputs) - wanted).max() > 0.1
        np.testing.assert_allclose(logits(fitted, inputs), wanted, atol=0.01)
    assert [refit.ridge is not None for refit in refits] == [False, False, False, True]
    assert refits[3].name == "encoder.layer.1.ffn.0.down"
    assert refits[3].after < 1e-4 < refits[3].before


def test_what_was_not_pruned_stays_as_it_is(encoder):
    fitted, refits = reconstruct(encoder, encoder, random_windows(encoder, 3, 0), random_windows(encoder, 2, 1))
    assert {(refit.before, refit.after, refit.ridge) for refit in refits} == {(0.0, 0.0, None)}
    for got, wanted in zip(fitted.layers, encoder.layers, strict=True):
        assert got.attention.output is wanted.attention.output
        assert got.feed_forwards[0].down is wanted.feed_forwards[0].down


def test_later_layers_make_good_what_earlier_ones_lost(encoder):
    """Heads and neurons go in layer 0; layer 1 is whole, and is refitted all the same."""
    heads = (np.array([True, False, True, False]), np.ones(4, bool))
    small = cut(encoder, Masks(heads, (np.arange(48) % 2 == 0, np.ones(48, bool))))
    held_out = random_windows(encoder, 10, 1)
    fitted, refits = reconstruct(encoder, small, random_windows(encoder, 80, 0), held_out)
    assert [len(refits), fitted.layers[0].attention.heads] == [4, 2]
    assert all(refit.after < refit.before and refit.ridge is not None for refit in refits)

    def error(candidate: Encoder) -> float:
        return sum(float(np.square(logits(candidate, inputs) - logits(encoder, inputs)).sum()) for inputs in held_out)

    assert error(fitted) < 0.7 * error(small)


def test_everything_of_a_layer_can_be_gone(encoder):
    masks = Masks((np.zeros(4, bool), np.ones(4, bool)), (np.zeros(48, bool), np.ones(48, bool)))
    fitted, refits = reconstruct(
        encoder, cut(encoder, masks), random_windows(encoder, 30, 0), random_windows(encoder, 8, 1)
    )
    assert (fitted.layers[0].attention.heads, fitted.layers[0].feed_forwards[0].width) == (0, 0)
    assert refits[0].ridge == float("inf") or refits[0].after < refits[0].before
    assert np.isfinite(logits(fitted, random_windows(encoder, 1, 2)[0])).all()
