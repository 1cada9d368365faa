"""What flows between the layers of an Encoder, of many windows at once: (tokens, H), one after the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from converters.model.encoder import Encoder, Layer
from converters.verification.reference import Float, attention_context, embed

Ends = NDArray[np.int64]


def embedded(encoder: Encoder, windows: Sequence[Inputs]) -> tuple[Float, Ends]:
    """Return what the first layer reads, and where the windows after the first begin.

    windows: of batch 1 without padding.
    """
    x = np.concatenate([embed(encoder, inputs)[0] for inputs in windows])
    return x, np.cumsum([inputs["input_ids"].shape[1] for inputs in windows])[:-1]


def contexts(layer: Layer, x: Float, ends: Ends) -> Float:
    """Return what the layer's attention.output reads, (tokens, n*v); a window attends to itself alone."""
    found = []
    for window in np.split(x[None], ends, axis=1):
        everything = np.ones((1, 1, 1, window.shape[1]), bool)
        found.append(attention_context(window, window, layer.attention, everything)[0])
    return np.concatenate(found)
