"""Round an Encoder to the precision that a bundle stores: float16 matrices, float32 vectors.

Vectors are 0.3 % of a model and cost nothing to keep exact.
"""

import numpy as np

from converters.encoder import Array, Encoder, map_arrays


def round_to_storage(encoder: Encoder) -> Encoder:
    """Return the encoder with every array as a bundle stores it."""
    return map_arrays(encoder, stored)


def stored(array: Array) -> Array:
    """Round one array: a matrix to float16, a vector to float32.

    A matrix with a value beyond float16's range (65504) stays in float32 as a whole.
    """
    if array.ndim < 2 or not array.size:
        return array.astype(np.float32, copy=False)
    if array.dtype == np.float16:
        return array
    if max(float(array.max()), -float(array.min())) > float(np.finfo(np.float16).max):
        return array.astype(np.float32, copy=False)
    return array.astype(np.float16)
