"""The arithmetic of the native engine in numpy: what its kernels must compute, but for the last digits.

Written from the description in kernels/README.md, not from the kernels: activations in 8 bits for each token, weights
for each output, queries, keys and values for each token and head, probabilities in 0..255 of each query's largest.
"""

import numpy as np

from converters.model.coded import code_linear
from converters.model.encoder import Attention, Encoder, FeedForward, Layer, Linear
from converters.verification.reference import _activate, apply_norm, embed


def quantized(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of the last axis."""
    largest = np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(1e-9))
    return np.rint(x * (np.float32(127) / largest)).astype(np.int64), largest / np.float32(127)


def linear(x: np.ndarray, layer: Linear) -> np.ndarray:
    """Quantize x, (tokens, in), and multiply integers."""
    coded = code_linear(layer)
    codes, scales = quantized(x if coded.factor is None else x * coded.factor)
    sums = codes @ coded.codes.astype(np.int64).T
    return (sums.astype(np.float32) * scales * coded.scales + coded.bias.astype(np.float32)).astype(np.float32)


def context(near: np.ndarray, far: np.ndarray, attention: Attention) -> np.ndarray:
    """What attention.output reads, (tokens, heads * value size)."""
    heads = attention.heads

    def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return quantized(x.reshape(len(x), heads, -1).transpose(1, 0, 2))

    (q, q_scale), (k, k_scale) = split(linear(near, attention.query)), split(linear(near, attention.key))
    v, v_scale = split(linear(far, attention.value))
    scores = (q @ k.transpose(0, 2, 1)) * q_scale * k_scale.transpose(0, 2, 1) * (attention.scale / np.log(2))
    weighed = scores + np.log2(v_scale).transpose(0, 2, 1)
    powers = np.exp2(weighed - weighed.max(axis=-1, keepdims=True)) * 255
    total = (powers / v_scale.transpose(0, 2, 1)).sum(axis=-1, keepdims=True)
    mixed = (np.rint(powers) @ v) / total
    return mixed.transpose(1, 0, 2).reshape(len(near), -1).astype(np.float32)


def block(x: np.ndarray, part: FeedForward, activation: str) -> np.ndarray:
    if not part.width:
        return apply_norm(x + part.down.bias, part.norm)
    return apply_norm(x + linear(_activate(linear(x, part.up), activation), part.down), part.norm)


def apply(x: np.ndarray, layer: Layer, activation: str) -> np.ndarray:
    whole, residual, near, far = x, x, x, x
    narrow = layer.bottleneck
    if narrow is not None:
        residual = apply_norm(linear(x, narrow.input), narrow.input_norm)
        if narrow.attention_input == "narrow":
            near = far = residual
        elif narrow.shared is not None:
            near = apply_norm(linear(x, narrow.shared), narrow.shared_norm)
    if layer.attention.heads:
        mixed = linear(context(near, far, layer.attention), layer.attention.output)
    else:
        mixed = layer.attention.output.bias
    x = apply_norm(residual + mixed, layer.attention_norm)
    for part in layer.feed_forwards:
        x = block(x, part, activation)
    if narrow is not None:
        x = apply_norm(linear(x, narrow.output) + whole, narrow.output_norm)
    return x


def int8_logits(encoder: Encoder, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Start and end logits of one example, (2, tokens)."""
    inputs = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, len(ids)), np.int64),
        "token_type_ids": types[None],
        "position_ids": np.arange(len(ids))[None],
    }
    x = _embedded(encoder, inputs)
    for layer in encoder.layers:
        x = apply(x, layer, encoder.activation)
    return (x @ encoder.head.weight.astype(np.float32).T + encoder.head.bias.astype(np.float32)).T


def _embedded(encoder: Encoder, inputs: dict[str, np.ndarray]) -> np.ndarray:
    parts = encoder.embeddings
    if parts.projection is None and parts.widen is None:
        return embed(encoder, inputs)[0]
    x = parts.word[inputs["input_ids"][0]].astype(np.float32)
    if parts.widen is not None:
        if parts.widen.inputs == 3 * x.shape[1]:
            nothing = np.zeros_like(x[:1])
            x = np.concatenate([np.r_[x[1:], nothing], x, np.r_[nothing, x[:-1]]], axis=1)
        x = linear(x, parts.widen)
    x = x + parts.position[inputs["position_ids"][0] + parts.position_offset]
    if parts.token_type is not None:
        x = x + parts.token_type[inputs["token_type_ids"][0]]
    x = apply_norm(x, parts.norm)
    return x if parts.projection is None else linear(x, parts.projection)
