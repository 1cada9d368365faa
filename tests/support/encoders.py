"""Small encoders of every shape that the converters know, drawn from one seed."""

import zlib
from dataclasses import replace

import numpy as np

from converters.model.encoder import (
    Attention,
    Bottleneck,
    Embeddings,
    Encoder,
    FeedForward,
    Layer,
    Linear,
    Norm,
    Relative,
)

_state = {"random": np.random.default_rng(0)}


def reseed(name: str) -> None:
    """Begin the draws anew, so that what a test draws does not hang on which tests ran before it."""
    _state["random"] = np.random.default_rng(zlib.crc32(name.encode()))


def draw(*shape: int) -> np.ndarray:
    return _state["random"].normal(0, 0.5, shape).astype(np.float32)


def linear(outputs: int, inputs: int) -> Linear:
    return Linear(draw(outputs, inputs), draw(outputs))


def norm(size: int, epsilon: float | None = 1e-12) -> Norm:
    return Norm(draw(size), draw(size), epsilon)


def layer(heads: int, *widths: int, hidden: int = 16, size: int = 4, scale: float = 0.5) -> Layer:
    rows = heads * size
    query, key, value = (linear(rows, hidden) for _ in range(3))
    attention = Attention(heads, scale, query, key, value, linear(hidden, rows))
    blocks = tuple(FeedForward(linear(width, hidden), linear(hidden, width), norm(hidden)) for width in widths)
    return Layer(attention, norm(hidden), blocks)


def bottleneck_layer(reads: str, *, heads: int = 2) -> Layer:
    """A MobileBERT layer: 16 channels between layers, 8 inside."""
    shared = (linear(8, 16), norm(8, None)) if reads == "shared" else (None, None)
    middle = Bottleneck(linear(8, 16), norm(8, None), *shared, linear(16, 8), norm(16, None), reads)
    keys, values = {"shared": (8, 16), "narrow": (8, 8), "whole": (16, 16)}[reads]
    rows = heads * 4
    attention = Attention(heads, 0.5, linear(rows, keys), linear(rows, keys), linear(rows, values), linear(8, rows))
    blocks = tuple(FeedForward(linear(20, 8), linear(8, 20), norm(8, None)) for _ in range(2))
    return Layer(attention, norm(8, None), blocks, middle)


def embeddings(size: int = 16, **changes) -> Embeddings:
    plain = Embeddings(draw(30, size), draw(24, size), 0, draw(2, size), norm(size))
    return replace(plain, **changes)


def encoder(*layers: Layer, tables: Embeddings | None = None, activation: str = "gelu") -> Encoder:
    return Encoder("bert", tables or embeddings(), layers, activation, linear(2, 16))


def relative_layer(heads: int, *, of_keys: bool = False) -> Layer:
    """A layer whose scores depend on distances, of up to 24 tokens."""
    whole = layer(heads, 24)
    return replace(whole, attention=replace(whole.attention, relative=Relative(draw(47, 4), of_keys)))


SHARED = layer(4, 24)
ENCODERS = {
    "ragged": encoder(layer(4, 24), layer(1, 7), layer(3, 24)),
    "several blocks": encoder(layer(2, 16, 12, 16), layer(4, 8)),
    "layer without heads": encoder(layer(4, 24), layer(0, 24)),
    "layer without neurons": encoder(layer(4, 0), layer(4, 24)),
    "layer without anything": encoder(layer(0, 0), layer(2, 8)),
    "nothing but norms": encoder(layer(0, 0), layer(0, 0)),
    "shared layers": encoder(SHARED, SHARED, layer(4, 24), SHARED),
    "narrowed heads keep their scale": encoder(layer(4, 24, scale=0.125)),
    "no norm": encoder(replace(layer(4, 24), attention_norm=norm(16, None)), layer(2, 8)),
    "epsilons": encoder(replace(layer(4, 24), attention_norm=norm(16, 1e-5)), layer(2, 8)),
    "position offset": encoder(layer(4, 24), tables=embeddings(position_offset=2)),
    "no token types": encoder(layer(4, 24), tables=embeddings(token_type=None)),
    "projection": encoder(layer(4, 24), tables=embeddings(6, projection=linear(16, 6))),
    "wide values": encoder(
        replace(SHARED, attention=replace(SHARED.attention, value=linear(20, 16), output=linear(16, 20)))
    ),
    "trigrams": encoder(
        bottleneck_layer("shared"),
        tables=embeddings(word=draw(30, 5), widen=linear(16, 15)),
        activation="relu",
    ),
    "bottleneck, narrow": encoder(bottleneck_layer("narrow"), bottleneck_layer("narrow")),
    "bottleneck, whole": encoder(bottleneck_layer("whole"), bottleneck_layer("whole")),
    "gelu_tanh": encoder(layer(4, 24), activation="gelu_tanh"),
    "relu": encoder(layer(4, 24), activation="relu"),
    "silu": encoder(layer(4, 24), activation="silu"),
}
# Behind the others, so that these stay what they were drawn as.
NO_POSITIONS = embeddings(position=np.zeros((24, 16), np.float32))
ENCODERS |= {
    "gelu_10": encoder(layer(4, 24), activation="gelu_10"),
    "mish": encoder(layer(4, 24), activation="mish"),
    "quick_gelu": encoder(layer(4, 24), activation="quick_gelu"),
    "relu2": encoder(layer(4, 24), activation="relu2"),
    "tanh": encoder(layer(4, 24), activation="tanh"),
    "relative_key": encoder(relative_layer(4), relative_layer(2), tables=NO_POSITIONS),
    "relative_key_query": encoder(relative_layer(3, of_keys=True), layer(0, 24), tables=NO_POSITIONS),
}
