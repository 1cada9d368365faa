"""Channels that a checkpoint scaled apart are brought together again, and nothing else changes."""

from dataclasses import replace

import numpy as np

from converters.model.encoder import Encoder
from converters.native.balance import balance_heads, factors
from converters.verification.reference import reference_logits
from tests.support.encoders import encoder, layer
from tests.support.int8_reference import int8_logits

IDS = np.arange(20) % 16
TYPES = np.zeros(20, np.int64)


def floats(model: Encoder) -> np.ndarray:
    inputs = {
        "input_ids": IDS[None],
        "attention_mask": np.ones((1, 20), np.int64),
        "token_type_ids": TYPES[None],
        "position_ids": np.arange(20)[None],
    }
    return np.concatenate(reference_logits(model, inputs))


def scaled_apart(model: Encoder, seed: int = 0) -> Encoder:
    """The same logits, with the channels of each head up to 2^6 apart."""
    random = np.random.default_rng(seed)
    layers = []
    for one in model.layers:
        a = one.attention
        by = np.exp2(random.integers(-6, 7, a.query.outputs)).astype(np.float32)
        of = np.exp2(random.integers(-6, 7, a.value.outputs)).astype(np.float32)
        a = replace(
            a,
            query=replace(a.query, weight=a.query.weight * by[:, None], bias=a.query.bias * by),
            key=replace(a.key, weight=a.key.weight / by[:, None], bias=a.key.bias / by),
            value=replace(a.value, weight=a.value.weight * of[:, None], bias=a.value.bias * of),
            output=replace(a.output, weight=a.output.weight / of),
        )
        layers.append(replace(one, attention=a))
    return replace(model, layers=tuple(layers))


MODEL = encoder(layer(2, 24, size=8, scale=2), layer(2, 24, size=8, scale=2))


def test_factors_are_powers_of_two_relative_to_their_head():
    wanted = np.array([64, 1, 1, 1, 900, 800, 800, 0], np.float32)
    have = np.array([1, 1, 1, 1, 2, 2, 2, 2], np.float32)
    # sqrt(64) = 2^3; the second head is 400 times apart as a whole, and 450 is near 400.
    assert factors(wanted, have, 2).tolist() == [8, 1, 1, 1, 1, 1, 1, 1]


def test_what_was_scaled_apart_comes_near_to_float_again():
    hard = scaled_apart(MODEL)
    wanted = floats(MODEL)
    np.testing.assert_allclose(floats(hard), wanted, rtol=1e-4, atol=1e-4)
    before, after = (np.abs(int8_logits(one, IDS, TYPES) - wanted).mean() for one in (hard, balance_heads(hard)))
    assert after < 0.6 * before


def test_balance_changes_no_logit():
    hard = scaled_apart(MODEL, 1)
    np.testing.assert_allclose(floats(balance_heads(hard)), floats(hard), rtol=1e-4, atol=1e-4)


def test_what_is_balanced_is_left_alone():
    once = balance_heads(scaled_apart(MODEL))
    again = balance_heads(once)
    for one, other in zip(once.layers, again.layers, strict=True):
        assert one is other


def test_shared_layers_stay_shared():
    shared = scaled_apart(encoder(layer(2, 24)))
    model = replace(shared, layers=(shared.layers[0],) * 3)
    assert len(set(map(id, balance_heads(model).layers))) == 1


def test_layers_without_heads_are_left_alone():
    model = encoder(layer(0, 24))
    assert balance_heads(model).layers[0] is model.layers[0]
