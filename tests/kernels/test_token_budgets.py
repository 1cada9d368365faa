"""Token budgets: which tokens a layer leaves, and the logits of those that it drops."""

import numpy as np
import pytest

from converters.native.pack import pack_encoder
from converters.token_budgets.reference import token_dropping_logits
from converters.token_budgets.token_dropping import Keep
from tests.kernels.test_encoder import example, long_encoder
from tests.support.encoders import bottleneck_layer, embeddings, encoder, layer
from tests.support.kernels import Running

SHARES = (0.7, 0.7, 0.4)


MODEL = long_encoder(layer(4, 24), layer(3, 24), layer(2, 24), seed=3)
# Sharp attention, so that what tokens are paid lies far apart.
SHARP = long_encoder(layer(4, 24, scale=2), layer(3, 24, scale=2), layer(2, 24, scale=2), seed=3)


def probes():
    random = np.random.default_rng(5)
    # Far apart, so that no rounding changes an order.
    return {index: random.normal(0, 30, 16).astype(np.float32) for index in (0, 2)}


def wanted(encoder_, ids, types, keep):
    inputs = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, len(ids)), np.int64),
        "token_type_ids": types[None],
        "position_ids": np.arange(len(ids))[None],
    }
    return np.concatenate(token_dropping_logits(encoder_, inputs, keep))


@pytest.mark.parametrize("tokens", [1, 9, 40, 133])
def test_probes_drop_what_the_reference_drops(library, path, tokens):
    keep = Keep(SHARES, 4, probes())
    ids, types = example(MODEL, tokens)
    with Running(library, pack_encoder(MODEL, {"fast": keep}), path) as running:
        (kept,) = running.logits([ids], [types], budget=0)
        (full,) = running.logits([ids], [types])
    reference = wanted(MODEL, ids, types, keep)
    close = np.abs(kept - reference) <= 0.08 * max(1, np.abs(reference).max())
    # Two tokens of nearly one score may change places.
    assert close.mean() >= 0.95
    assert tokens < 9 or not np.array_equal(kept, full)


@pytest.mark.parametrize("tokens", [9, 40, 133])
def test_attention_drops_the_same_on_every_path(library, paths, tokens):
    keep = Keep(SHARES, 4)
    ids, types = example(SHARP, tokens)
    packed = pack_encoder(SHARP, {"fast": keep})
    first = None
    for path in paths:
        for threads in (1, 3):
            with Running(library, packed, path, threads) as running:
                (result,) = running.logits([ids], [types], budget=0)
            first = result if first is None else first
            np.testing.assert_array_equal(result, first, err_msg=path)
    reference = wanted(SHARP, ids, types, keep)
    close = np.abs(first - reference) <= 0.08 * max(1, np.abs(reference).max())
    assert close.mean() >= 0.75


def test_a_batch_drops_by_each_true_length(library, path):
    keep = Keep(SHARES, 4, probes())
    examples = [example(MODEL, tokens) for tokens in (3, 90, 31, 8)]
    packed = pack_encoder(MODEL, {"other": Keep((1.0, 0.9, 0.9), 8), "fast": keep})
    with Running(library, packed, path, 2) as running:
        alone = [running.logits([ids], [types], budget=1)[0] for ids, types in examples]
        together = running.logits(*map(list, zip(*examples, strict=True)), budget=1)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_bottleneck_drops_too(library, path):
    tables = embeddings(position=np.random.default_rng(0).normal(0, 0.5, (64, 16)).astype(np.float32))
    narrow = encoder(bottleneck_layer("shared"), bottleneck_layer("shared"), tables=tables, activation="relu")
    keep = Keep((0.5, 0.5), 4, {0: probes()[0]})
    ids, types = example(narrow, 48)
    with Running(library, pack_encoder(narrow, {"fast": keep}), path) as running:
        (result,) = running.logits([ids], [types], budget=0)
    reference = wanted(narrow, ids, types, keep)
    close = np.abs(result - reference) <= 0.1 * max(1, np.abs(reference).max())
    assert close.mean() >= 0.9
