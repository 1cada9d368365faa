"""Remove heads and neurons that cannot change the logits, or only add a constant, which is folded into a bias.

Seen from one layer's output (S is the softmax, whose rows sum to 1; Wo_h are a head's columns of Wo):

    neuron with a zero column of W2     adds 0                                  dropped
    neuron with a zero row of W1        adds W2[:, i] * act(b1[i]), always      folded into b2, dropped
    head with zero columns Wo_h         adds 0                                  dropped
    head with zero rows of V            adds Wo_h @ (S @ b_v) = Wo_h @ b_v      folded into bo, dropped
    head with zero Q or K, but not V    still mixes the tokens, evenly or by
                                        its biases                              kept

Where the zeros of W1 lie in aligned blocks of 4 outputs x 1 input, neurons go in aligned groups of four alone.

A layer may lose all its heads or all of a block's neurons. Widths are not rounded up afterwards:
`benchmarks/experiments/width_rounding.py` found nothing to gain, in float32 or INT8 (a width of 737 is as fast
as 740, 744, 752 and 768, within 2 %; AMD EPYC with AVX512-VNNI, OpenVINO 2026.4).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Activation, Array, Attention, Encoder, FeedForward, Layer, Linear, named_arrays

Compatibility = Literal["exact", "nn_pruning"]
Mask = NDArray[np.bool_]

_QUAD = 4  # outputs of a 4x1 block, which others call 1x4
_BLOCKED_FROM, _IN_BLOCKS = 0.1, 0.9  # shares: of weights that are zero, of zeros that lie in whole blocks


@dataclass(frozen=True)
class CompactionReport:
    """What compaction removed. heads, ffn_widths: one entry a layer, widths one for each of its blocks.

    difference: what it did to the logits, relative to max(1, the largest).
    """

    heads_before: tuple[int, ...]
    heads_after: tuple[int, ...]
    ffn_widths_before: tuple[tuple[int, ...], ...]
    ffn_widths_after: tuple[tuple[int, ...], ...]
    parameters_before: int
    parameters_after: int
    difference: float = 0.0

    @property
    def changed(self) -> bool:
        """True if anything was removed."""
        return self.parameters_before != self.parameters_after


def compact(encoder: Encoder, *, compat: Compatibility = "exact") -> Encoder:
    """Return the encoder without the heads and neurons that cannot change its logits; itself if there are none.

    compat: "nn_pruning" first drops what that library's `optimize_model` drops, which is not exact:
    neurons with a zero row of W1 with their constant, and heads with zero Q, K or V, though never
    the last head of a layer (then its first one stays).
    Layers that share their weights still share them afterwards.
    """
    done: dict[int, Layer] = {}

    def changed(layer: Layer) -> Layer:
        if compat == "nn_pruning":
            layer = _drop_like_nn_pruning(layer)
        blocks = tuple(_compact_block(block, encoder.activation) for block in layer.feed_forwards)
        attention = _compact_attention(layer.attention)
        if attention is layer.attention and all(map(_same, blocks, layer.feed_forwards)):
            return layer
        return replace(layer, attention=attention, feed_forwards=blocks)

    for layer in encoder.layers:
        if id(layer) not in done:
            done[id(layer)] = changed(layer)
    layers = tuple(done[id(layer)] for layer in encoder.layers)
    return encoder if all(map(_same, layers, encoder.layers)) else replace(encoder, layers=layers)


def report_compaction(before: Encoder, after: Encoder, difference: float = 0.0) -> CompactionReport:
    """Compare an encoder with what `compact` made of it; `difference` of their logits is what was measured."""

    def heads(encoder: Encoder) -> tuple[int, ...]:
        return tuple(layer.attention.heads for layer in encoder.layers)

    def widths(encoder: Encoder) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(block.width for block in layer.feed_forwards) for layer in encoder.layers)

    def parameters(encoder: Encoder) -> int:
        return sum(int(array.size) for _, array in named_arrays(encoder))

    return CompactionReport(
        heads(before), heads(after), widths(before), widths(after), parameters(before), parameters(after), difference
    )


def _same(a: object, b: object) -> bool:
    return a is b


# Feed-forward blocks


def _compact_block(block: FeedForward, activation: Activation) -> FeedForward:
    constant, silent = _zero_rows(block.up.weight), _zero_rows(block.down.weight.T)
    gone = constant | silent
    if _lies_in_quads(block.up.weight):
        # One neuron that goes moves the blocks of all behind it, which then are no blocks for any kernel.
        gone = _whole_quads(gone)
    if not gone.any():
        return block
    folded = gone & constant & ~silent
    outputs = _ACTIVATIONS[activation](block.up.bias[folded].astype(np.float64))
    bias = _add(block.down.bias, block.down.weight[:, folded].astype(np.float64) @ outputs)
    return keep_neurons(block, ~gone, bias)


def _lies_in_quads(weight: Array) -> bool:
    """Whether the zeros of a matrix (out, in) lie in aligned blocks of 4 outputs x 1 input."""
    # Rows that are zero as a whole say nothing about it.
    quads = weight[: len(weight) // _QUAD * _QUAD].reshape(-1, _QUAD, weight.shape[1]) == 0
    quads = quads[~quads.all(axis=2).any(axis=1)]
    zeros = int(np.count_nonzero(quads))
    in_blocks = _QUAD * int(np.count_nonzero(quads.all(axis=1)))
    return zeros >= _BLOCKED_FROM * quads.size and in_blocks >= _IN_BLOCKS * zeros > 0


def _whole_quads(mask: Mask) -> Mask:
    """The mask without what does not fill an aligned group of four; one that is cut off at the end has none behind."""
    padded = np.pad(mask, (0, -len(mask) % _QUAD), constant_values=True)
    return np.asarray(padded.reshape(-1, _QUAD).all(axis=1).repeat(_QUAD)[: len(mask)])


def keep_neurons(block: FeedForward, keep: Mask, bias: Array) -> FeedForward:
    """Return the block with the neurons of the mask (width,) alone; bias: the new one of `down`."""
    up = Linear(block.up.weight[keep], block.up.bias[keep])
    return replace(block, up=up, down=Linear(block.down.weight[:, keep], bias))


# Attention


def _compact_attention(attention: Attention) -> Attention:
    if not attention.heads:
        return attention
    constant = _zero_heads(attention.value.weight, attention.heads)
    silent = _zero_heads(attention.output.weight.T, attention.heads)
    if not (constant | silent).any():
        return attention
    columns = np.repeat(constant & ~silent, attention.value_size)
    added = attention.output.weight[:, columns].astype(np.float64) @ attention.value.bias[columns].astype(np.float64)
    return keep_heads(attention, ~(constant | silent), _add(attention.output.bias, added))


def keep_heads(attention: Attention, keep: Mask, bias: Array) -> Attention:
    """Return the attention with the heads of the mask (heads,) alone; bias: the new one of `output`."""
    keys, values = np.repeat(keep, attention.key_size), np.repeat(keep, attention.value_size)
    return replace(
        attention,
        heads=int(keep.sum()),
        query=Linear(attention.query.weight[keys], attention.query.bias[keys]),
        key=Linear(attention.key.weight[keys], attention.key.bias[keys]),
        value=Linear(attention.value.weight[values], attention.value.bias[values]),
        output=Linear(attention.output.weight[:, values], bias),
    )


def _drop_like_nn_pruning(layer: Layer) -> Layer:
    """What nn_pruning's `optimize_model` drops although it has an effect (huggingface/nn_pruning)."""
    attention = layer.attention
    if attention.heads:
        keep: Mask = np.ones(attention.heads, bool)
        for part in (attention.query, attention.key, attention.value):
            keep &= ~_zero_heads(part.weight, attention.heads)
        if not keep.any():
            keep[0] = True  # the library cannot run a layer without heads
        if not keep.all():
            attention = keep_heads(attention, keep, attention.output.bias)
    blocks = []
    for block in layer.feed_forwards:
        dead = _zero_rows(block.up.weight)
        blocks.append(keep_neurons(block, ~dead, block.down.bias) if dead.any() else block)
    if attention is layer.attention and all(map(_same, blocks, layer.feed_forwards)):
        return layer
    return replace(layer, attention=attention, feed_forwards=tuple(blocks))


# Arithmetic


def _zero_rows(weight: Array) -> Mask:
    return np.asarray(~weight.any(axis=1))


def _zero_heads(rows: Array, heads: int) -> Mask:
    """Which heads' share of the rows, (heads * size, n), is zero as a whole."""
    return _zero_rows(rows.reshape(heads, -1))


def _add(bias: Array, constant: NDArray[np.float64]) -> Array:
    """The sum in float32, or the bias as it is where there is nothing to add."""
    return (bias.astype(np.float64) + constant).astype(np.float32) if constant.any() else bias


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.erf(value) for value in x], np.float64)


_ACTIVATIONS: dict[Activation, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "gelu": lambda x: 0.5 * x * (1 + _erf(x * math.sqrt(0.5))),
    "gelu_10": lambda x: np.clip(0.5 * x * (1 + _erf(x * math.sqrt(0.5))), -10, 10),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "quick_gelu": lambda x: 0.5 * x * (1 + np.tanh(1.702 * x / 2)),
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "silu": lambda x: 0.5 * x * (1 + np.tanh(x / 2)),
    "tanh": np.tanh,
}
