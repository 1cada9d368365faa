"""The float32 numpy reference of an Encoder: what a converted model is verified against.

Written from the papers (Vaswani et al. 2017, arXiv 1706.03762; Devlin et al. 2018, arXiv
1810.04805), not from the graph builder: the two share only the Encoder.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Activation, Array, Attention, Encoder, FeedForward, Layer, Linear, Norm, Relative

Float = NDArray[np.float32]
Inputs = Mapping[str, NDArray[np.int64]]


def reference_logits(encoder: Encoder, inputs: Inputs) -> tuple[Float, Float]:
    """Return the start and end logits, each (batch, tokens) float32.

    inputs: the four int64 arrays of the contract, each (batch, tokens).
    """
    x = embed(encoder, inputs)
    mask = attention_mask(inputs)
    for layer in encoder.layers:
        x = apply_layer(x, layer, mask, encoder.activation)
    both = apply_linear(x, encoder.head)
    return both[..., 0], both[..., 1]


def attention_mask(inputs: Inputs) -> NDArray[np.bool_]:
    """Return which tokens may be attended to, (batch, 1, 1, tokens)."""
    return inputs["attention_mask"].astype(bool)[:, None, None, :]


def _weights(array: Array) -> Float:
    return array.astype(np.float32, copy=False)


def apply_linear(x: Float, linear: Linear) -> Float:
    """Return x @ weight.T + bias, (.., outputs)."""
    return x @ _weights(linear.weight).T + _weights(linear.bias)


def apply_norm(x: Float, norm: Norm) -> Float:
    """Return x, (.., H), normalised."""
    if norm.epsilon is not None:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        x = centred / np.sqrt(variance + np.float32(norm.epsilon))
    return x * _weights(norm.weight) + _weights(norm.bias)


def _rows(table: Array, indices: NDArray[np.int64]) -> Float:
    return _weights(table[indices])


def embed(encoder: Encoder, inputs: Inputs) -> Float:
    """Return what the first layer reads, (batch, tokens, H)."""
    parts = encoder.embeddings
    x = _rows(parts.word, inputs["input_ids"])
    if parts.widen is not None:
        if parts.widen.inputs == 3 * x.shape[2]:
            x = x * inputs["attention_mask"][:, :, None].astype(np.float32)
            nothing = np.zeros_like(x[:, :1])
            after = np.concatenate([x[:, 1:], nothing], axis=1)
            before = np.concatenate([nothing, x[:, :-1]], axis=1)
            x = np.concatenate([after, x, before], axis=2)
        x = apply_linear(x, parts.widen)
    x = x + _rows(parts.position, inputs["position_ids"] + parts.position_offset)
    if parts.token_type is not None:
        x = x + _rows(parts.token_type, inputs["token_type_ids"])
    x = apply_norm(x, parts.norm)
    return x if parts.projection is None else apply_linear(x, parts.projection)


def apply_layer(x: Float, layer: Layer, mask: NDArray[np.bool_], activation: Activation) -> Float:
    """Return the layer's output, (batch, tokens, H); mask: which tokens may be attended to, (batch, 1, 1, tokens)."""
    whole, residual, keys_from, values_from = x, x, x, x
    narrow = layer.bottleneck
    if narrow is not None:
        residual = apply_norm(apply_linear(x, narrow.input), narrow.input_norm)
        if narrow.attention_input == "narrow":
            keys_from, values_from = residual, residual
        elif narrow.shared is not None and narrow.shared_norm is not None:
            keys_from = apply_norm(apply_linear(x, narrow.shared), narrow.shared_norm)
    x = apply_norm(residual + _attention(keys_from, values_from, layer.attention, mask), layer.attention_norm)
    for block in layer.feed_forwards:
        x = apply_norm(x + apply_linear(neurons(x, block, activation), block.down), block.norm)
    if narrow is not None:
        x = apply_norm(apply_linear(x, narrow.output) + whole, narrow.output_norm)
    return x


def _attention(keys_from: Float, values_from: Float, attention: Attention, mask: NDArray[np.bool_]) -> Float:
    return apply_linear(attention_context(keys_from, values_from, attention, mask), attention.output)


def attention_context(keys_from: Float, values_from: Float, attention: Attention, mask: NDArray[np.bool_]) -> Float:
    """Return what attention.output reads: the heads side by side, (batch, tokens, n*v)."""
    batch, tokens, _ = keys_from.shape
    if not attention.heads:
        return np.zeros((batch, tokens, 0), np.float32)

    def split(x: Float) -> Float:
        return x.reshape(batch, tokens, attention.heads, -1).transpose(0, 2, 1, 3)

    query = split(apply_linear(keys_from, attention.query))
    key = split(apply_linear(keys_from, attention.key))
    value = split(apply_linear(values_from, attention.value))
    scores = query @ key.transpose(0, 1, 3, 2)
    if attention.relative is not None:
        scores = scores + _relative_scores(query, key, attention.relative)
    scores = scores * np.float32(attention.scale)
    scores = np.where(mask, scores, np.float32(-np.inf))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    context: Float = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, -1)
    return context


def _relative_scores(query: Float, key: Float, relative: Relative) -> Float:
    """Return what distances add to the scores of query and key, (batch, heads, tokens, d) each."""
    places = np.arange(query.shape[2])
    rows = _rows(relative.table, places[:, None] - places + relative.positions - 1)
    scores: Float = np.einsum("bhid,ijd->bhij", query, rows, optimize=True)
    if relative.of_keys:
        scores = scores + np.einsum("bhjd,ijd->bhij", key, rows, optimize=True)
    return scores


def neurons(x: Float, block: FeedForward, activation: Activation) -> Float:
    """Return what the block's `down` reads, (batch, tokens, W)."""
    return _activate(apply_linear(x, block.up), activation)


def _activate(x: Float, activation: Activation) -> Float:
    result: Float
    if activation == "gelu":
        result = np.float32(0.5) * x * (1 + erf(x * np.float32(math.sqrt(0.5))))
    elif activation == "gelu_10":
        result = np.clip(_activate(x, "gelu"), np.float32(-10), np.float32(10))
    elif activation == "gelu_tanh":
        inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
        result = np.float32(0.5) * x * (1 + np.tanh(inner))
    elif activation == "mish":
        result = x * np.tanh(np.logaddexp(np.float32(0), x))
    elif activation == "quick_gelu":
        result = x / (1 + np.exp(np.minimum(np.float32(-1.702) * x, 88)))
    elif activation == "relu":
        result = np.maximum(x, 0)
    elif activation == "relu2":
        result = np.square(np.maximum(x, 0))
    elif activation == "tanh":
        result = np.tanh(x)
    else:
        assert activation == "silu"
        result = x / (1 + np.exp(np.minimum(-x, 88)))  # exp(89) overflows
    return result


# numpy has no erf. Knots 1/64 apart with exact values and slopes; a cubic Hermite between two knots
# is off by at most h^4/384 * max|erf''''| < 1e-9, far below float32. erf(4) is 1 in float32.
_STEP = 1 / 64
_KNOTS = np.arange(0, 4 + 2 * _STEP, _STEP)
_VALUES = np.array([math.erf(x) for x in _KNOTS])
_SLOPES = 2 / math.sqrt(math.pi) * np.exp(-(_KNOTS**2)) * _STEP


def erf(x: Float) -> Float:
    """The error function, to float32 precision, element by element."""
    size = np.fmin(np.abs(x), np.float32(4)) * np.float32(1 / _STEP)
    index = size.astype(np.int32)
    t = size - index
    # Hermite form a + t (m + t (c + t d)) with the coefficients of each interval.
    positive: Float = _A[index] + t * (_M[index] + t * (_C[index] + t * _D[index]))
    signed: Float = np.copysign(positive, x)
    return signed


_A = _VALUES[:-1].astype(np.float32)
_M = _SLOPES[:-1].astype(np.float32)
_RISE = np.diff(_VALUES)
_C = (3 * _RISE - 2 * _SLOPES[:-1] - _SLOPES[1:]).astype(np.float32)
_D = (_SLOPES[:-1] + _SLOPES[1:] - 2 * _RISE).astype(np.float32)
