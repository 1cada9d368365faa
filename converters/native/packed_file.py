"""Write the packed file of the native engine: a header, a description, and arrays that are mapped as they are.

The layout is described in `kernels/source/packed_file.h`, and read by `kernels/source/packed_file.cpp` in the very
order in which it is written here.
"""

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Array

MAGIC = b"EDGEQAPK"
VERSION = 1
HEADER = struct.Struct("<8sIIQQ32s")
_ALIGNMENT = 64
# Behind the last array, so that whole vectors and tiles may be loaded at the end of any.
_SLACK = 4096
# Vectors are padded with zeros to a multiple of this many values.
LANES = 16


class PackedWriter:
    """The description and the arrays of a packed file, in the order in which they are read."""

    def __init__(self) -> None:
        self._words: list[bytes | int] = []  # eight bytes, or the place of an array, which moves behind the description
        self._arrays: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._end = 0

    def whole(self, *values: int) -> None:
        """Describe integers."""
        self._words += [struct.pack("<q", value) for value in values]

    def real(self, *values: float) -> None:
        """Describe floating-point numbers."""
        self._words += [struct.pack("<d", value) for value in values]

    def array(self, values: Array, kind: type[np.generic]) -> None:
        """Add an array, padded to whole vectors, and describe its place; equal arrays are stored once."""
        flat = np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).ravel()
        content = flat.tobytes() + bytes(-flat.size % LANES * flat.itemsize)
        key = hashlib.sha256(content).digest()
        if key not in self._places:
            self._places[key] = self._end
            self._arrays.append(content)
            self._end += len(content) + -len(content) % _ALIGNMENT
        self._words.append(self._places[key])

    def content(self) -> bytes:
        """Return the bytes of the file; the same model always gives the same bytes."""
        described = 8 * len(self._words)
        base = HEADER.size + described
        base += -base % _ALIGNMENT
        words = b"".join(word if isinstance(word, bytes) else struct.pack("<q", base + word) for word in self._words)
        body = [words.ljust(base - HEADER.size, b"\0")]
        body += [content + bytes(-len(content) % _ALIGNMENT) for content in self._arrays]
        body.append(bytes(_SLACK))
        size = HEADER.size + sum(map(len, body))
        digest = hashlib.sha256(HEADER.pack(MAGIC, VERSION, described, size, 0, b"")[: -hashlib.sha256().digest_size])
        for part in body:
            digest.update(part)
        return b"".join([HEADER.pack(MAGIC, VERSION, described, size, 0, digest.digest()), *body])


def panels(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (outputs, inputs) codes as panels (outputs/16, inputs/4, 16, 4), zeros where there is neither."""
    outputs, inputs = codes.shape
    padded = np.zeros((outputs + -outputs % 16, inputs + -inputs % 4), np.int8)
    padded[:outputs, :inputs] = codes
    return padded.reshape(padded.shape[0] // 16, 16, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)


def starts(codes: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return what the sums of each output begin with: inputs are stored as code + 128, which this takes off again."""
    result: NDArray[np.int32] = -128 * codes.sum(axis=1, dtype=np.int32)
    return result


def blocks(codes: NDArray[np.int8]) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.int8]]:
    """Return what is left of (outputs, inputs) codes in blocks of 4 outputs x 1 input.

    ends: (outputs/4,), where each group of outputs ends among the columns. columns: the inputs that any output of a
    group reads, padded to fours. values: (columns/4, 4 outputs, 4 inputs).
    """
    outputs, inputs = codes.shape
    grouped = np.zeros((outputs + -outputs % 4, inputs), np.int8)
    grouped[:outputs] = codes
    grouped = grouped.reshape(-1, 4, inputs)
    ends, columns, values = [], [np.zeros(0, np.uint16)], [np.zeros((0, 4, 4), np.int8)]
    count = 0
    for group in grouped:
        (read,) = np.nonzero(group.any(axis=0))
        padding = -read.size % 4
        columns.append(np.r_[read, np.zeros(padding, read.dtype)].astype(np.uint16))
        kept = np.zeros((4, read.size + padding), np.int8)
        kept[:, : read.size] = group[:, read]
        values.append(kept.reshape(4, -1, 4).transpose(1, 0, 2))
        count += read.size + padding
        ends.append(count)
    return np.array(ends, np.uint32), np.concatenate(columns), np.concatenate(values)


def head_rows(weight: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield rows padded to whole vectors."""
    for row in weight:
        yield np.concatenate([row, np.zeros(-row.size % LANES, np.float32)])
