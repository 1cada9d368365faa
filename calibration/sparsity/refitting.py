"""Prune every matrix of the layers by what its outputs lose, and refit what is left, layer after layer.

A matrix reads what the layers before it, pruned already, give it; what is fitted is what the original model has
there, as in calibration/shrinking/reconstruction.py: q, k, v and the neurons before their activation, and the
residual stream behind attention.output and ffn.down. So each matrix also makes good what those before it lost.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.data.activations import Ends, contexts, embedded
from calibration.data.samples import Inputs
from calibration.sparsity.block_pruning import Block
from calibration.sparsity.elimination import eliminate
from calibration.statistics.least_squares import CHUNK, Moments
from converters.inspection.zero_patterns import Mask
from converters.model.encoder import Activation, Encoder, FeedForward, Layer, Linear
from converters.model.matrices import layer_matrices
from converters.verification.reference import Float, apply_linear, apply_norm, neurons
from edge_qa.progress import Progress, no_progress

# Towards the weights as they were, times the mean variance of an input: inputs that hardly vary decide nothing.
_RIDGE = 0.01

Rows = Callable[[slice], Float]  # tokens -> (tokens, width)
Prune = Callable[[Linear, Rows, Rows], Linear]  # a Linear, what it reads, what it shall give


def prune_and_refit(
    encoder: Encoder,
    windows: Sequence[Inputs],
    block: Block,
    ratio: float,
    *,
    progress: Progress = no_progress,
) -> tuple[Encoder, list[Mask]]:
    """Return the encoder with the share `ratio` of every matrix at zero, and which weights stay, in graph order.

    windows: of batch 1 without padding. The encoder's layers have one feed-forward block each, no bottlenecks,
    and weights of their own. What is zero stays zero. progress: called with (groups of outputs done, all).
    """
    masks: list[Mask] = []
    weights = [weight for layer in encoder.layers for _, weight in layer_matrices(layer) if weight.size]
    groups = sum(len(weight) // block[0] for weight in weights)
    counted = itertools.count(1)
    x, ends = embedded(encoder, windows)
    streams = _Streams(ends, x, x)

    def advance() -> None:
        progress("refit", next(counted), groups)

    def prune(linear: Linear, read: Rows, target: Rows) -> Linear:
        moments = _moments(linear, read, target, len(x))
        linear, mask = prune_linear(linear, moments, block, ratio, advance=advance)
        masks.append(mask)
        return linear

    layers = []
    for layer in encoder.layers:
        attended, streams = _prune_attention(layer, streams, prune)
        small, streams = _prune_feed_forward(layer.feed_forwards[0], encoder.activation, streams, prune)
        layers.append(replace(attended, feed_forwards=(small,)))
    return replace(encoder, layers=tuple(layers)), masks


def prune_linear(
    linear: Linear, moments: Moments, block: Block, ratio: float, *, advance: Callable[[], None] = lambda: None
) -> tuple[Linear, Mask]:
    """Return the Linear with the share `ratio` of its blocks at zero and the best weights and bias for the rest.

    moments: of its inputs and of what it shall give. The second result is which weights stay, (out, in): what
    was zero stays zero. advance: called for every group of outputs that is done.
    """
    a, t = moments.means()
    weight, mask = linear.weight, linear.weight != 0
    if weight.size:
        covariance, before = moments.covariance(), weight.T.astype(np.float64)
        strength = _RIDGE * max(float(np.trace(covariance)) / len(a), 1e-30)
        found, mask = eliminate(
            covariance + strength * np.eye(len(a)),
            moments.cross() + strength * before,
            mask,
            block,
            ratio,
            advance=advance,
        )
        weight = found.astype(weight.dtype)
    # For the weight as it is stored; of no inputs, the bias is all there is.
    bias = t - weight.astype(np.float64) @ a
    return Linear(weight, bias.astype(linear.bias.dtype)), mask


@dataclass(frozen=True, eq=False)
class _Streams:
    """The residual stream of the original and of the pruned model, (tokens, H); `ends` cuts it into windows."""

    ends: Ends
    original: Float
    pruned: Float


def _prune_attention(layer: Layer, streams: _Streams, prune: Prune) -> tuple[Layer, _Streams]:
    """Prune q, k, v and attention.output; the streams move behind the norm."""
    attention, x, wanted = layer.attention, streams.pruned, streams.original

    def projection(linear: Linear) -> Linear:
        return prune(linear, lambda rows: x[rows], lambda rows: apply_linear(wanted[rows], linear))

    query, key, value = map(projection, (attention.query, attention.key, attention.value))
    small = replace(attention, query=query, key=key, value=value)
    read = contexts(replace(layer, attention=small), x, streams.ends)
    target = wanted + apply_linear(contexts(layer, wanted, streams.ends), attention.output)
    output = prune(attention.output, lambda rows: read[rows], lambda rows: target[rows] - x[rows])
    moved = _Streams(
        streams.ends,
        apply_norm(target, layer.attention_norm),
        apply_norm(x + apply_linear(read, output), layer.attention_norm),
    )
    return replace(layer, attention=replace(small, output=output)), moved


def _prune_feed_forward(
    block: FeedForward, activation: Activation, streams: _Streams, prune: Prune
) -> tuple[FeedForward, _Streams]:
    """Prune ffn.up and ffn.down; the streams move behind the norm."""
    x, wanted = streams.pruned, streams.original
    up = prune(block.up, lambda rows: x[rows], lambda rows: apply_linear(wanted[rows], block.up))
    small = replace(block, up=up)
    # The neurons of all tokens at once would be four times as large as the stream.
    target = _by_chunks(
        lambda rows: wanted[rows] + apply_linear(neurons(wanted[rows], block, activation), block.down), len(x)
    )
    down = prune(block.down, lambda rows: neurons(x[rows], small, activation), lambda rows: target[rows] - x[rows])
    small = replace(small, down=down)
    after = _by_chunks(lambda rows: x[rows] + apply_linear(neurons(x[rows], small, activation), down), len(x))
    return small, _Streams(streams.ends, apply_norm(target, block.norm), apply_norm(after, block.norm))


def _chunks(tokens: int) -> Iterator[slice]:
    return (slice(first, first + CHUNK) for first in range(0, tokens, CHUNK))


def _moments(linear: Linear, read: Rows, target: Rows, tokens: int) -> Moments:
    found = Moments(linear.inputs, linear.outputs)
    for rows in _chunks(tokens):
        found.add(read(rows), target(rows))
    return found


def _by_chunks(make: Rows, tokens: int) -> Float:
    return np.concatenate([make(rows) for rows in _chunks(tokens)])
