"""Whole encoders of every shape: against the same arithmetic in numpy, against floats, and bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.model.encoder import Encoder
from converters.native.pack import cannot_run, pack_encoder
from converters.verification.reference import reference_logits
from tests.support.encoders import ENCODERS, encoder, layer
from tests.support.int8_reference import int8_logits
from tests.support.kernels import Running


def example(model: Encoder, tokens: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed + tokens)
    types = (np.arange(tokens) > tokens // 3).astype(np.int64) if model.token_types > 1 else np.zeros(tokens, np.int64)
    return random.integers(0, model.vocabulary, tokens), types


def long_encoder(*layers, hidden: int = 16, positions: int = 512, seed: int = 0, **changes) -> Encoder:
    """An encoder that takes more tokens than those of `tests.support.encoders`."""
    model = encoder(*layers, **changes)
    random = np.random.default_rng(seed)
    tables = replace(model.embeddings, position=random.normal(0, 0.5, (positions, hidden)).astype(np.float32))
    return replace(model, embeddings=tables)


def check_close(result: np.ndarray, wanted: np.ndarray, most: float = 0.06) -> None:
    """The same arithmetic; a code that falls to the other side of a half moves what comes after a little."""
    difference, size = np.abs(result - wanted), max(1, np.abs(wanted).max())
    assert np.median(difference) <= 0.01 * size
    assert difference.max() <= most * size


@pytest.mark.parametrize("name", [name for name, model in ENCODERS.items() if cannot_run(model) is None])
@pytest.mark.parametrize("tokens", [1, 7, 22])
def test_every_shape_on_every_path(library, paths, name, tokens):
    model = ENCODERS[name]
    ids, types = example(model, tokens)
    packed = pack_encoder(model)
    results = {}
    for path in paths:
        with Running(library, packed, path) as running:
            (results[path],) = running.logits([ids], [types])
    first = results["portable"]
    for path, result in results.items():
        np.testing.assert_array_equal(result, first, err_msg=path)
    wanted = int8_logits(model, ids, types)
    check_close(first, wanted)
    inputs = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, tokens), np.int64),
        "token_type_ids": types[None],
        "position_ids": np.arange(tokens)[None],
    }
    floats = np.concatenate(reference_logits(model, inputs))
    assert np.abs(first - floats).max() <= 0.06 * max(1, np.abs(floats).max())


@given(
    tokens=st.integers(1, 512),
    heads=st.integers(1, 5),
    size=st.integers(1, 70),
    width=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_sizes_lengths_and_widths(library, paths, tokens, heads, size, width, seed):
    model = long_encoder(layer(heads, width, size=size, scale=size**-0.5), layer(0, width), seed=seed)
    ids, types = example(model, tokens, seed % 1000)
    packed = pack_encoder(model)
    wanted = int8_logits(model, ids, types)
    first = None
    for path in paths:
        if path.endswith("software") and tokens > 100:
            continue  # slow, and tiles see no difference
        with Running(library, packed, path, threads=1 + seed % 3) as running:
            (result,) = running.logits([ids], [types])
        first = result if first is None else first
        np.testing.assert_array_equal(result, first, err_msg=path)
    check_close(first, wanted)


def test_threads_and_batches_change_no_bit(library, path):
    model = long_encoder(layer(4, 24), layer(3, 40), layer(1, 8))
    examples = [example(model, tokens) for tokens in (5, 178, 64, 1, 300, 17, 16)]
    packed = pack_encoder(model)
    with Running(library, packed, path) as running:
        alone = [running.logits([ids], [types])[0] for ids, types in examples]
    for threads in (1, 2, 4):
        with Running(library, packed, path, threads) as running:
            together = running.logits(*map(list, zip(*examples, strict=True)))
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


def test_huge_scores_stay_finite(library, path):
    sharp = layer(4, 24)
    sharp = replace(sharp, attention=replace(sharp.attention, scale=1e4))
    model = long_encoder(sharp, layer(4, 24))
    ids, types = example(model, 100)
    with Running(library, pack_encoder(model), path) as running:
        (result,) = running.logits([ids], [types])
    wanted = int8_logits(model, ids, types)
    check_close(result, wanted)


def test_large_neurons_do_not_overflow(library, path):
    # Beyond float16, which a product between feed-forward layers must not pass through.
    big = layer(4, 24)
    block = big.feed_forwards[0]
    up = replace(block.up, weight=block.up.weight * np.float32(1e6))
    down = replace(block.down, weight=block.down.weight * np.float32(1e-6))
    model = long_encoder(replace(big, feed_forwards=(replace(block, up=up, down=down),)))
    ids, types = example(model, 30)
    with Running(library, pack_encoder(model), path) as running:
        (result,) = running.logits([ids], [types])
    wanted = int8_logits(model, ids, types)
    check_close(result, wanted)
