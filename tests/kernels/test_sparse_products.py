"""Weights with zero blocks: the logits of every path are those of the dense product, to the last bit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.model.coded import CodedLinear, code_linear
from converters.model.encoder import Encoder, Layer, Linear
from converters.native.pack import pack_encoder
from converters.token_budgets.token_dropping import Keep
from tests.kernels.test_encoder import check_close, example, long_encoder
from tests.support.encoders import bottleneck_layer, layer, linear
from tests.support.int8_reference import int8_logits
from tests.support.kernels import Running

Thin = Callable[[Linear], Linear]


def thinning(random: np.random.Generator, kept: float, factor: np.ndarray | None = None) -> Thin:
    """What leaves so many of a matrix's blocks of 4 outputs x 1 input, and lets it multiply its inputs by a factor."""

    def thinned(whole: Linear) -> Linear:
        stays = random.random((-(-whole.outputs // 4), whole.inputs)) < kept
        coded = code_linear(replace(whole, weight=whole.weight * np.repeat(stays, 4, axis=0)[: whole.outputs]))
        if factor is None:
            return coded
        # In floats, which references compute with, the weight takes the factor.
        own = factor[: whole.inputs]
        return CodedLinear(coded.weight * own, coded.bias, coded.codes, coded.scales, own)

    return thinned


def thin_attention(whole: Layer, thin: Thin, *names: str) -> Layer:
    parts = {name: thin(getattr(whole.attention, name)) for name in names or ("query", "key", "value", "output")}
    return replace(whole, attention=replace(whole.attention, **parts))


def thin_neurons(whole: Layer, thin: Thin, *names: str) -> Layer:
    blocks = [
        replace(one, **{name: thin(getattr(one, name)) for name in names or ("up", "down")})
        for one in whole.feed_forwards
    ]
    return replace(whole, feed_forwards=tuple(blocks))


def thin_layer(whole: Layer, thin: Thin) -> Layer:
    return thin_neurons(thin_attention(whole, thin), thin)


def sparse_encoder(*layers: Layer, kept: float = 0.2, seed: int = 0, **changes) -> Encoder:
    thin = thinning(np.random.default_rng(seed), kept)
    return long_encoder(*(thin_layer(one, thin) for one in layers), seed=seed, **changes)


def logits_of_all(library, paths, model: Encoder, lengths, threads: int = 1) -> list[np.ndarray]:
    """The logits of inputs of these lengths, after a check that every path gives the same."""
    packed = pack_encoder(model)
    examples = [example(model, tokens) for tokens in lengths]
    wanted = None
    # The path in plain C++ is first: it multiplies all of a matrix.
    for path in sorted(paths, key=lambda path: path != "portable"):
        if path == "amx_software":
            continue
        with Running(library, packed, path, threads) as running:
            results = running.logits(*map(list, zip(*examples, strict=True)))
        wanted = wanted or results
        for one, other in zip(wanted, results, strict=True):
            np.testing.assert_array_equal(other, one, err_msg=f"{path}, {one.shape[1]} tokens")
    assert wanted is not None
    return wanted


@pytest.mark.parametrize("size", [16, 12])
def test_every_number_of_rows(library, paths, size):
    # Tiles of one to four sixteens, whole and cut off, and two to an input; heads of 12 are quantized as rows.
    lengths = list(range(1, 81))
    model = sparse_encoder(layer(2, 22, size=size))
    results = logits_of_all(library, paths, model, lengths)
    for tokens in (5, 80):
        check_close(results[tokens - 1], int8_logits(model, *example(model, tokens)))


@given(
    tokens=st.integers(1, 150),
    width=st.integers(1, 90),
    size=st.sampled_from([9, 16, 32, 48]),
    kept=st.floats(0, 0.35),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_any_size_gives_the_bits_of_dense_products(library, paths, tokens, width, size, kept, threads, seed):
    shape = layer(3, width, size=size, scale=size**-0.5)
    model = sparse_encoder(shape, layer(2, width), kept=kept, seed=seed)
    (result,) = logits_of_all(library, paths, model, [tokens], threads)
    check_close(result, int8_logits(model, *example(model, tokens)))


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "silu"])
def test_every_activation(library, paths, activation):
    model = sparse_encoder(layer(2, 37, size=16), activation=activation)
    (result,) = logits_of_all(library, paths, model, [50])
    check_close(result, int8_logits(model, *example(model, 50)))


@pytest.mark.parametrize("shared", [True, False])
def test_factors_of_inputs(library, paths, shared):
    random = np.random.default_rng(1)
    factors = [random.uniform(0.5, 2, 64).astype(np.float32) for _ in range(6)]
    thin = [thinning(random, 0.2, factors[0 if shared else i]) for i in range(6)]
    whole = layer(2, 40, size=16)
    for name, one in zip(("query", "key", "value", "output"), thin, strict=False):
        whole = thin_attention(whole, one, name)
    whole = thin_neurons(thin_neurons(whole, thin[4], "up"), thin[5], "down")
    model = long_encoder(whole)
    (result,) = logits_of_all(library, paths, model, [70])
    check_close(result, int8_logits(model, *example(model, 70)))


@pytest.mark.parametrize("name", ["query", "key", "value", "output", "up", "down"])
def test_one_sparse_matrix_alone(library, paths, name):
    # Every item has whole sixteens of rows as soon as one matrix wants them: of two threads' keys none is lost.
    thin = thinning(np.random.default_rng(2), 0.2)
    whole = layer(2, 40, size=16)
    whole = thin_neurons(whole, thin, name) if name in ("up", "down") else thin_attention(whole, thin, name)
    model = long_encoder(whole, layer(2, 40, size=16))
    (result,) = logits_of_all(library, paths, model, [150], threads=2)
    check_close(result, int8_logits(model, *example(model, 150)))


@pytest.mark.parametrize("reads", ["shared", "narrow", "whole"])
def test_bottlenecks(library, paths, reads):
    thin = thinning(np.random.default_rng(3), 0.2)
    whole = thin_layer(bottleneck_layer(reads), thin)
    middle = whole.bottleneck
    assert middle is not None
    shared = None if middle.shared is None else thin(middle.shared)
    middle = replace(middle, input=thin(middle.input), shared=shared, output=thin(middle.output))
    model = long_encoder(replace(whole, bottleneck=middle))
    (result,) = logits_of_all(library, paths, model, [70], threads=2)
    check_close(result, int8_logits(model, *example(model, 70)))


def test_values_of_another_size_than_keys(library, paths):
    whole = layer(2, 24, size=16)
    values = replace(whole.attention, value=linear(64, 16), output=linear(16, 64))
    model = sparse_encoder(replace(whole, attention=values))
    (result,) = logits_of_all(library, paths, model, [50])
    check_close(result, int8_logits(model, *example(model, 50)))


def test_threads_and_batches_change_no_bit(library, paths):
    model = sparse_encoder(layer(2, 24, size=16), layer(1, 40, size=32))
    lengths = (5, 178, 64, 1, 300, 17, 16)
    together = logits_of_all(library, paths, model, lengths)
    for threads in (1, 2, 4):
        for tokens, one in zip(lengths, together, strict=True):
            (alone,) = logits_of_all(library, paths, model, [tokens], threads)
            np.testing.assert_array_equal(alone, one)


@pytest.mark.parametrize("threads", [1, 3])
def test_token_budgets(library, paths, threads):
    model = sparse_encoder(layer(2, 24, size=16, scale=2), layer(2, 24, size=16, scale=2), seed=3)
    ids, types = example(model, 133)
    packed = pack_encoder(model, {"fast": Keep((0.7, 0.4), 4)})
    first = None
    for path in paths:
        if path == "amx_software":
            continue
        with Running(library, packed, path, threads) as running:
            (result,) = running.logits([ids], [types], budget=0)
        first = result if first is None else first
        np.testing.assert_array_equal(result, first, err_msg=path)
