"""Remove whole heads, or whole feed-forward neurons: those of the smallest score in the whole model.

Where the norms of the inputs are known, a head or neuron counts for what it adds to the other
channels: |w| * ||x|| over the columns that pass it on, x being its own output, relative to the mean
of its layer, because a norm follows each layer and its scale is its own. Without them nobody knows
how large its output is: a head then counts for |w| over all of its weights, a neuron for |w| over
its column. Of several rules tried on the carried model these lost least, at 10, 20 and 30 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibration.sparsity.block_pruning import Scores, importance, lowest
from converters.inspection.zero_patterns import Mask
from converters.model.compaction import keep_heads, keep_neurons
from converters.model.encoder import Attention, Encoder, FeedForward
from edge_qa.errors import InputError

Norms = Mapping[
    str, Scores
]  # of the inputs, by the names of converters/model/matrices.py; empty where they do not count


def prune_heads(encoder: Encoder, ratio: float, norms: Norms, *, least: int = 1) -> tuple[Encoder, list[Mask]]:
    """Remove the share `ratio` of all heads. Returns what is left, and for each layer the heads that stayed.

    least: each layer keeps this many, its best. Raises InputError if so many cannot be removed.
    """
    parts = [layer.attention for layer in encoder.layers]
    scores = [head_scores(part, norms, f"encoder.layer.{index}.attention") for index, part in enumerate(parts)]
    masks = choose(scores, ratio, least, "heads")
    layers = tuple(
        replace(layer, attention=keep_heads(layer.attention, stays, layer.attention.output.bias))
        for layer, stays in zip(encoder.layers, masks, strict=True)
    )
    return replace(encoder, layers=layers), masks


def prune_neurons(encoder: Encoder, ratio: float, norms: Norms) -> tuple[Encoder, list[Mask]]:
    """Remove the share `ratio` of all neurons. Returns what is left, and for each block the neurons that stayed."""
    names = [
        f"encoder.layer.{index}.ffn.{number}"
        for index, layer in enumerate(encoder.layers)
        for number in range(len(layer.feed_forwards))
    ]
    blocks = [block for layer in encoder.layers for block in layer.feed_forwards]
    scores = [neuron_scores(block, norms, name) for block, name in zip(blocks, names, strict=True)]
    masks = choose(scores, ratio, 0, "neurons")
    left = iter(masks)
    layers = []
    for layer in encoder.layers:
        kept = tuple(keep_neurons(block, next(left), block.down.bias) for block in layer.feed_forwards)
        layers.append(replace(layer, feed_forwards=kept))
    return replace(encoder, layers=tuple(layers)), masks


def head_scores(attention: Attention, norms: Norms, name: str) -> Scores:
    """Return the score of each head, (heads,). name: of the attention, such as "encoder.layer.0.attention"."""
    if not attention.heads:
        return np.zeros(0)
    known = norms.get(f"{name}.output")
    parts = [importance(attention.output.weight, known).T]
    if known is None:
        parts += [importance(part.weight) for part in (attention.query, attention.key, attention.value)]
    scores = np.sum([part.reshape(attention.heads, -1).sum(axis=1) for part in parts], axis=0)
    return scores if known is None else _relative(scores)


def neuron_scores(block: FeedForward, norms: Norms, name: str) -> Scores:
    """Return the score of each neuron, (width,). name: of the block, such as "encoder.layer.0.ffn.0"."""
    known = norms.get(f"{name}.down")
    neurons = np.asarray(importance(block.down.weight, known).sum(axis=0))
    return neurons if known is None else _relative(neurons)


def _relative(scores: Scores) -> Scores:
    mean = scores.mean() if scores.size else 0
    return np.asarray(scores / mean) if mean else scores


def choose(scores: Sequence[Scores], ratio: float, least: int, what: str) -> list[Mask]:
    """Return for each layer what stays when the share `ratio` of all layers' heads or neurons is removed.

    least: each layer keeps this many, its best. Halves round up, of equal scores the first goes.
    Raises InputError if so many cannot be removed. what: "heads" or "neurons", for that message.
    """
    total = sum(len(layer) for layer in scores)
    count = int(ratio * total + 0.5)
    # What a layer has to keep is out of the running, whatever its score is.
    running = [np.where(lowest(layer, len(layer) - least), layer, np.inf) for layer in scores]
    most = sum(int(np.isfinite(layer).sum()) for layer in running)
    if count > most:
        raise InputError(
            f"ratio {ratio:g}: would remove {count} of {total} {what}, and each layer keeps at least {least}, so that "
            f"{most} can go; lower the ratio" + (", or `least_heads`" if what == "heads" else "")
        )
    removed = lowest(np.concatenate(running) if running else np.zeros(0), count)
    return [~part for part in np.split(removed, np.cumsum([len(layer) for layer in scores])[:-1])]
