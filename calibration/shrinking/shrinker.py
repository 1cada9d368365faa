"""What is known of a model before it shrinks, and the three methods that make a smaller Encoder of it.

magnitude   heads and neurons go by the squares of their weights: the baseline
fisher      by the Fisher information of their masks
full        the same, then swaps inside each layer, then a refit of what follows
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from calibration.shrinking.mask_gradients import MaskGradients, fisher_diagonal, fisher_matrix
from calibration.shrinking.mask_search import Masks, rearrange, search_masks
from calibration.shrinking.reconstruction import Refit, reconstruct
from calibration.shrinking.structure_costs import StructureCosts
from converters.model.compaction import keep_heads, keep_neurons
from converters.model.encoder import Attention, Encoder, FeedForward
from edge_qa.progress import Progress, no_progress

Method = Literal["magnitude", "fisher", "full"]
METHODS: tuple[Method, ...] = get_args(Method)
Scores = list[NDArray[np.float64]]

# Windows that a refit is solved on, and windows beside them that judge it.
FITTING, HELD_OUT = 128, 32


@dataclass(frozen=True, eq=False)
class Material:
    """An encoder and what was measured of it.

    windows: inputs of batch 1 without padding; "full" wants a few dozen. gradients: of the masks, None for
    "magnitude", which needs neither.
    """

    encoder: Encoder
    windows: list[Inputs]
    gradients: MaskGradients | None = None


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A smaller encoder, what stayed of the original, and how its output matrices were refitted."""

    encoder: Encoder
    masks: Masks
    refits: tuple[Refit, ...] = ()


def shrink_encoder(
    material: Material,
    costs: StructureCosts,
    budget: float,
    method: Method,
    *,
    progress: Progress = no_progress,
) -> Shrunk:
    """Return the encoder without what costs most and matters least; its cost is at most `budget`.

    Raises ValueError if even the smallest model costs more.
    """
    encoder = material.encoder
    head_scores, neuron_scores = _scores(material, method)
    masks = search_masks(head_scores, neuron_scores, costs, budget)
    if method == "full" and material.gradients is not None:
        masks = _rearranged(masks, material.gradients)
    small = cut(encoder, masks)
    if method != "full":
        return Shrunk(small, masks)
    last = min(FITTING + HELD_OUT, len(material.windows))
    # A fifth of few windows is held out, and at least one.
    split = last - max(1, last * HELD_OUT // (FITTING + HELD_OUT))
    if not split:
        return Shrunk(small, masks)
    fitting, held_out = material.windows[:split], material.windows[split:last]
    fitted, refits = reconstruct(encoder, small, fitting, held_out, progress=progress)
    return Shrunk(fitted, masks, refits)


def cut(encoder: Encoder, masks: Masks) -> Encoder:
    """Return the encoder with the heads and neurons of the masks alone; every bias stays as it is."""
    layers = []
    for layer, heads, neurons in zip(encoder.layers, masks.heads, masks.neurons, strict=True):
        attention, block = layer.attention, layer.feed_forwards[0]
        if not heads.all():
            attention = keep_heads(attention, heads, attention.output.bias)
        if not neurons.all():
            block = keep_neurons(block, neurons, block.down.bias)
        layers.append(replace(layer, attention=attention, feed_forwards=(block,)))
    return replace(encoder, layers=tuple(layers))


def _scores(material: Material, method: Method) -> tuple[Scores, Scores]:
    if method == "magnitude":
        layers = material.encoder.layers
        return [head_norms(layer.attention) for layer in layers], [
            neuron_norms(layer.feed_forwards[0]) for layer in layers
        ]
    if material.gradients is None:
        raise ValueError(f"{method} needs gradients")
    gradients = material.gradients
    return [fisher_diagonal(part) for part in gradients.heads], [fisher_diagonal(part) for part in gradients.neurons]


def _rearranged(masks: Masks, gradients: MaskGradients) -> Masks:
    heads = [rearrange(mask, fisher_matrix(part)) for mask, part in zip(masks.heads, gradients.heads, strict=True)]
    neurons = [
        rearrange(mask, fisher_matrix(part)) for mask, part in zip(masks.neurons, gradients.neurons, strict=True)
    ]
    return Masks(tuple(heads), tuple(neurons))


def head_norms(attention: Attention) -> NDArray[np.float64]:
    """The sum of the squares of all weights of each head, (heads,)."""
    if not attention.heads:
        return np.zeros(0)
    parts = [attention.query.weight, attention.key.weight, attention.value.weight, attention.output.weight.T]
    squares = [np.square(part.astype(np.float64)).reshape(attention.heads, -1).sum(axis=1) for part in parts]
    return np.asarray(np.sum(squares, axis=0))


def neuron_norms(block: FeedForward) -> NDArray[np.float64]:
    """The sum of the squares of all weights of each neuron, (width,)."""
    up, down = block.up.weight.astype(np.float64), block.down.weight.astype(np.float64)
    return np.asarray(np.square(up).sum(axis=1) + np.square(down).sum(axis=0))
