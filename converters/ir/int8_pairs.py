"""Which INT8 weights are safe on CPUs without VNNI.

There x86 multiplies unsigned 8-bit activations by signed 8-bit weights and adds neighbouring products
in a signed 16-bit lane (VPMADDUBSW), which saturates: 255 * (|a| + |b|) must not exceed 32767 for any
two weights that stand side by side along the summed axis.
"""

import numpy as np
from numpy.typing import NDArray

# The largest sum of two neighbouring magnitudes: 255 * 128 = 32640 <= 32767 < 255 * 129.
LARGEST_PAIR = 128


def largest_pair(weights: NDArray[np.integer]) -> int:
    """Return the largest |a| + |b| over the pairs (0, 1), (2, 3), ... along the inputs of (outputs, inputs) weights."""
    outputs, inputs = weights.shape
    padded = np.zeros((outputs, inputs + inputs % 2), np.int32)
    padded[:, :inputs] = np.abs(weights.astype(np.int32))
    return int(padded.reshape(outputs, -1, 2).sum(axis=2).max(initial=0))
