"""8-bit weights with their scales, and parts of an Encoder that carry the very codes they were stored as."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Embeddings, Linear

Codes = NDArray[np.int8]
Floats = NDArray[np.float32]

# Codes are symmetric: -127 .. 127.
LARGEST_CODE = 127


@dataclass(frozen=True, eq=False)
class CodedLinear(Linear):
    """(x * factor) @ (codes * scales[:, None]).T + bias; `weight` is the same in floats.

    codes: (out, in). scales: (out,). factor: (in,), what x is multiplied by before it is quantized, or None.
    """

    codes: Codes
    scales: Floats
    factor: Floats | None = None


@dataclass(frozen=True, eq=False)
class CodedTable:
    """An embedding table as codes (rows, width) and one scale a row."""

    codes: Codes
    scales: Floats


@dataclass(frozen=True, eq=False)
class CodedEmbeddings(Embeddings):
    """Embeddings whose tables, by name, are stored as codes."""

    coded: Mapping[str, CodedTable] = field(default_factory=dict)


def code_linear(linear: Linear) -> CodedLinear:
    """Quantize a Linear's weights, one scale an output; one that is coded already stays as it is."""
    if isinstance(linear, CodedLinear):
        return linear
    codes, scales = code_rows(linear.weight.astype(np.float32))
    return CodedLinear(linear.weight, linear.bias, codes, scales)


def code_rows(values: Floats) -> tuple[Codes, Floats]:
    """Quantize each row of (rows, width) by its largest magnitude: codes and scales; a row of zeros has scale 1."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    scales = np.where(largest > 0, largest / np.float32(LARGEST_CODE), np.float32(1)).astype(np.float32)
    codes = np.rint(values / scales[:, None])
    return np.clip(codes, -LARGEST_CODE, LARGEST_CODE).astype(np.int8), scales
