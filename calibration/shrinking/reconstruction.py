"""Refit what follows removed heads and neurons, layer by layer, so that the residual stream is as it was before.

The mask tuning of Kwon et al. 2022 (arXiv 2204.09656) rescales each head and neuron that is left;
here the whole output matrix (Wo, W2) and its bias are solved for, by least squares with a ridge that
pulls towards the weights as they are. What is fitted is the residual stream before each norm:

    x_pruned + context_pruned @ W.T + b   to   x_original + attention_original(x_original)

x_pruned comes from the layers that were refitted already, so that a layer also makes good what
those before it could not. Moments of two sets of windows are gathered: one gives the solution, the
other chooses the ridge and says whether the solution is better than the weights as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration.data.activations import contexts, embedded
from calibration.data.samples import Inputs
from calibration.statistics.least_squares import CHUNK, Moments, Wide
from converters.model.encoder import Activation, Encoder, FeedForward, Linear, Norm
from converters.verification.reference import Float, apply_linear, apply_norm, neurons
from edge_qa.progress import Progress, no_progress

# Relative to the mean variance of an input channel. Infinity leaves the weights and corrects the bias.
RIDGES = (1e-6, 1e-3, 1e-2, 1e-1, 1.0, float("inf"))


@dataclass(frozen=True)
class Refit:
    """One output matrix: its error on held-out windows before and after, relative to what was to be reached.

    ridge: the one that was chosen; None where nothing was better than the weights as they were.
    """

    name: str
    before: float
    after: float
    ridge: float | None


def solve(moments: Moments, linear: Linear, ridge: float) -> tuple[Wide, Wide]:
    """Return the weight (out, in) and bias (out,) of the least squares with a ridge towards linear.weight.

    ridge: times the mean variance of an input channel; infinite keeps the weight, and gives it its best bias.
    """
    weight = linear.weight.astype(np.float64)
    a, t = moments.means()
    if np.isfinite(ridge) and a.size:
        covariance, cross = moments.covariance(), moments.cross()
        # A channel that never changes has no say but through the ridge.
        strength = ridge * max(float(np.trace(covariance)) / len(a), 1e-30)
        change = np.linalg.solve(covariance + strength * np.eye(len(a)), cross - covariance @ weight.T)
        weight = weight + change.T
    return weight, t - weight @ a


def refit(linear: Linear, fitting: Moments, held_out: Moments, name: str) -> tuple[Linear, Refit]:
    """Return the best of the solutions on the held-out moments, or the Linear as it is if none is better."""
    own = (linear.weight.astype(np.float64), linear.bias.astype(np.float64))
    before = held_out.error(*own)
    best, least, chosen = own, before, None
    for ridge in RIDGES:
        try:
            found = solve(fitting, linear, ridge)
        except np.linalg.LinAlgError:
            continue
        error = held_out.error(*found)
        if np.isfinite(error) and error < least:
            best, least, chosen = found, error, ridge
    scale = max(held_out.spread(), 1e-30)
    report = Refit(name, before / scale, least / scale, chosen)
    if chosen is None:
        return linear, report
    return Linear(best[0].astype(linear.weight.dtype), best[1].astype(linear.bias.dtype)), report


@dataclass(eq=False)
class _Streams:
    """What flows through both models, all windows in one row: (tokens, H) each.

    ends: where the windows after the first begin. Until something differs both are the same array.
    """

    ends: NDArray[np.int64]
    original: Float
    pruned: Float


def reconstruct(
    original: Encoder,
    pruned: Encoder,
    fitting: Sequence[Inputs],
    held_out: Sequence[Inputs],
    *,
    progress: Progress = no_progress,
) -> tuple[Encoder, tuple[Refit, ...]]:
    """Return the pruned encoder with every attention.output and down refitted to the original's residual stream.

    fitting, held_out: windows of batch 1 without padding. Both encoders have one feed-forward block a
    layer and no bottlenecks. Layers before the first that was pruned stay as they are.
    """
    sets = [_start(original, windows) for windows in (fitting, held_out)]
    layers, reports = [], []
    for index, (wanted, layer) in enumerate(zip(original.layers, pruned.layers, strict=True)):
        output, first = _refit_part(
            sets,
            _Part(wanted.attention.output, wanted.attention_norm, partial(contexts, wanted)),
            _Part(layer.attention.output, layer.attention_norm, partial(contexts, layer)),
            f"encoder.layer.{index}.attention.output",
        )
        progress("refit", 2 * index + 1, 2 * len(pruned.layers))
        whole, block = wanted.feed_forwards[0], layer.feed_forwards[0]
        down, second = _refit_part(
            sets,
            _Part(whole.down, whole.norm, partial(_neurons, whole, original.activation)),
            _Part(block.down, block.norm, partial(_neurons, block, original.activation)),
            f"encoder.layer.{index}.ffn.0.down",
        )
        progress("refit", 2 * index + 2, 2 * len(pruned.layers))
        attention = replace(layer.attention, output=output)
        layers.append(replace(layer, attention=attention, feed_forwards=(replace(block, down=down),)))
        reports += [first, second]
    return replace(pruned, layers=tuple(layers)), tuple(reports)


def _neurons(block: FeedForward, activation: Activation, x: Float, _ends: NDArray[np.int64]) -> Float:
    return neurons(x, block, activation)


def _start(encoder: Encoder, windows: Sequence[Inputs]) -> _Streams:
    x, ends = embedded(encoder, windows)
    return _Streams(ends, x, x)


@dataclass(frozen=True, eq=False)
class _Part:
    """One output matrix, the norm behind it, and what it reads: from the stream and where windows end, (tokens, in)."""

    linear: Linear
    norm: Norm
    read: Callable[[Float, NDArray[np.int64]], Float]


def _refit_part(sets: Sequence[_Streams], wanted: _Part, got: _Part, name: str) -> tuple[Linear, Refit]:
    """Refit one output matrix, and move every stream behind the norm that follows it."""
    untouched = wanted.linear is got.linear and all(streams.original is streams.pruned for streams in sets)
    if untouched:
        for streams in sets:
            x = streams.original
            streams.original = streams.pruned = apply_norm(
                x + apply_linear(wanted.read(x, streams.ends), wanted.linear), wanted.norm
            )
        return got.linear, Refit(name, 0.0, 0.0, None)
    moments, inputs, targets = [], [], []
    for streams in sets:
        target = streams.original + apply_linear(wanted.read(streams.original, streams.ends), wanted.linear)
        a = got.read(streams.pruned, streams.ends)
        found = Moments(got.linear.inputs, got.linear.outputs)
        for first in range(0, len(a), CHUNK):
            rows = slice(first, first + CHUNK)
            found.add(a[rows], target[rows] - streams.pruned[rows])
        moments.append(found)
        inputs.append(a)
        targets.append(target)
    linear, report = refit(got.linear, moments[0], moments[1], name)
    for streams, a, target in zip(sets, inputs, targets, strict=True):
        streams.pruned = apply_norm(streams.pruned + apply_linear(a, linear), got.norm)
        streams.original = apply_norm(target, wanted.norm)
    return linear, report
