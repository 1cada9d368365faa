"""Where the zeros of a matrix lie: in whole rows and columns, in blocks, or anywhere.

Blocks are found by doubling. Two neighbours of an aligned pair agree (both zero, or both not) far
more often than two values of the same line that lie anywhere, if and only if a block spans them;
so pairs are merged, along rows and columns, for as long as they agree. Neighbours are compared
with their own line, so that lines of different density are not mistaken for blocks, and rows and
columns that are zero as a whole are left out. A verdict needs odds of a billion to one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Array

Verdict = Literal[
    "dense",
    "all zero",
    "whole rows or columns",
    "blocks",
    "unstructured",
    "irregular",
    "too few zeros to tell",
    "too few nonzeros to tell",
]
Mask = NDArray[np.bool_]

TILE = 32  # the block of block-sparse BERT (Lagunas et al. 2021, arXiv 2109.04838)
ONE_BY_FOUR = (4, 1)  # "1x4" sparsity (Zafrir et al. 2021, arXiv 2111.05754) in (out, in) order
_QUAD = 4
_LARGEST_BLOCK = 64
_LEAST_SHARE = 0.01  # below this, zeros are accidents of rounding
_ODDS = math.log(1e9)
_FOLLOWING_ODDS = 6.0  # exp(6) to one is enough to widen a block that is certain already


@dataclass(frozen=True)
class ZeroPattern:
    """The zeros of one matrix (out, in).

    sparsity: the share of zeros, 0..1.
    zero_rows, zero_columns: how many outputs and inputs have no weight at all.
    inner_zeros: zeros outside those rows and columns.
    block: (outputs, inputs) of the largest aligned block that is zero or not as a whole, (1, 1) if
    there is none; zeros of whole rows and columns do not count here.
    zero_quads_out, zero_quads_in: the share of aligned groups of 4 outputs x 1 input, and of
    1 output x 4 inputs, that are zero as a whole: about the sparsity along a blocked axis, about
    its fourth power otherwise. zero_tiles: the same of 32 x 32 tiles.
    """

    shape: tuple[int, int]
    zeros: int
    sparsity: float
    zero_rows: int
    zero_columns: int
    inner_zeros: int
    block: tuple[int, int]
    zero_quads_out: float
    zero_quads_in: float
    zero_tiles: float
    verdict: Verdict

    @property
    def name(self) -> str:
        """The verdict in words, with the block's name and axes where there is one."""
        if self.verdict != "blocks":
            return self.verdict
        axes = " x ".join(
            f"{size} {word}{'s' * (size > 1)}" for size, word in zip(self.block, ("output", "input"), strict=True)
        )
        return f"1x4 blocks ({axes})" if self.block == ONE_BY_FOUR else f"blocks of {axes}"


def find_pattern(weight: Array) -> ZeroPattern:
    """Look at the zeros of a matrix (out, in)."""
    return pattern_of(is_nonzero(weight))


def is_nonzero(array: Array) -> Mask:
    """Return where an array is not zero."""
    if array.dtype == np.float16:
        # numpy looks at float16 one by one; without the sign bit its zeros are the integer 0.
        array = array.view(np.uint16) << np.uint16(1)
    return np.asarray(array != 0)


def pattern_of(nonzero: Mask) -> ZeroPattern:
    """Look at where a matrix (out, in) is not zero."""
    shape = (int(nonzero.shape[0]), int(nonzero.shape[1]))
    values = int(np.count_nonzero(nonzero))
    zeros = nonzero.size - values
    if not zeros:
        return ZeroPattern(shape, 0, 0.0, 0, 0, 0, (1, 1), 0.0, 0.0, 0.0, "dense")
    rows, columns = (int(np.count_nonzero(nonzero.any(axis=axis))) for axis in (1, 0))
    block, verdict = _judge(nonzero, zeros, rows * columns - values, rows * columns)
    return ZeroPattern(
        shape=shape,
        zeros=zeros,
        sparsity=zeros / nonzero.size,
        zero_rows=shape[0] - rows,
        zero_columns=shape[1] - columns,
        inner_zeros=rows * columns - values,
        block=block,
        zero_quads_out=_zero_share(nonzero, _QUAD, 1),
        zero_quads_in=_zero_share(nonzero, 1, _QUAD),
        zero_tiles=_zero_share(nonzero, TILE, TILE),
        verdict=verdict,
    )


def tile_density(weight: Array, tile: int = TILE) -> NDArray[np.float64]:
    """Return the share of nonzero values in each tile, (rows, columns) of tiles; those at the ends may be smaller."""
    counts = is_nonzero(weight).astype(np.uint8)
    rows, columns = (np.arange(0, size, tile) for size in weight.shape)
    if not counts.size:
        return np.zeros((len(rows), len(columns)))
    summed = np.add.reduceat(np.add.reduceat(counts, rows, axis=0, dtype=np.int32), columns, axis=1)
    heights, widths = (np.diff(np.append(np.arange(0, size, tile), size)) for size in weight.shape)
    shares: NDArray[np.float64] = summed / (heights[:, None] * widths)
    return shares


def _judge(nonzero: Mask, zeros: int, inner_zeros: int, inner: int) -> tuple[tuple[int, int], Verdict]:
    """Return the block and the verdict. inner: how many values lie outside the zero rows and columns."""
    if not inner:
        return (1, 1), "all zero"
    if inner_zeros < _LEAST_SHARE * inner:
        return (1, 1), "whole rows or columns" if 2 * inner_zeros < zeros else "too few zeros to tell"
    pairs = (_Pairs.of(nonzero, 0), _Pairs.of(nonzero, 1))
    block = _grow(nonzero, pairs)
    if block != (1, 1):
        return block, "blocks"
    if min(pair.expected for pair in pairs) < _ODDS:
        return block, "too few zeros to tell" if 2 * inner_zeros < inner else "too few nonzeros to tell"
    return block, "unstructured" if min(pair.ratio for pair in pairs) > 0.5 else "irregular"


@dataclass(frozen=True)
class _Pairs:
    """Aligned pairs of neighbours along one axis of which one is zero and one is not.

    mixed: how many there are. expected: how many there would be if the values of each line were shuffled.
    """

    mixed: int
    expected: float

    @classmethod
    def of(cls, nonzero: Mask, axis: int) -> "_Pairs":
        """Compare rows 2i and 2i+1 (axis 0) or such columns (axis 1), leaving out those that are all zero."""
        length = nonzero.shape[axis] // 2 * 2
        alive = np.asarray(nonzero.any(axis=1 - axis), bool)
        both = alive[0:length:2] & alive[1:length:2]
        even, odd = (nonzero[i:length:2] if axis == 0 else nonzero[:, i:length:2] for i in (0, 1))
        mixed = int(np.count_nonzero(even ^ odd, axis=1 - axis)[both].sum())
        values = int(np.count_nonzero(alive))
        inside = np.count_nonzero(nonzero, axis=axis).astype(np.float64)
        chance = 2 * inside * (values - inside) / max(1, values * (values - 1))
        return cls(mixed, float(np.count_nonzero(both) * chance.sum()))

    @property
    def ratio(self) -> float:
        return self.mixed / self.expected if self.expected else 1.0

    @property
    def log_odds(self) -> float:
        """Chernoff's bound on how unlikely so few mixed pairs are by chance, as -log of the probability."""
        if self.mixed >= self.expected:
            return 0.0
        return self.expected - self.mixed + (self.mixed * math.log(self.mixed / self.expected) if self.mixed else 0.0)


def _grow(nonzero: Mask, pairs: tuple[_Pairs, _Pairs]) -> tuple[int, int]:
    """Merge pairs for as long as they agree, and return the block (outputs, inputs) that this gives."""
    block = [1, 1]
    while True:
        needed = _ODDS if block == [1, 1] else _FOLLOWING_ODDS
        agreeing = [
            axis
            for axis in (0, 1)
            if block[axis] < _LARGEST_BLOCK and pairs[axis].ratio <= 0.25 and pairs[axis].log_odds >= needed
        ]
        if not agreeing:
            return block[0], block[1]
        axis = min(agreeing, key=lambda axis: block[axis])
        length = nonzero.shape[axis] // 2 * 2
        if axis == 0:
            nonzero = nonzero[0:length:2] | nonzero[1:length:2]
        else:
            nonzero = nonzero[:, 0:length:2] | nonzero[:, 1:length:2]
        block[axis] *= 2
        pairs = (_Pairs.of(nonzero, 0), _Pairs.of(nonzero, 1))


def _zero_share(nonzero: Mask, outputs: int, inputs: int) -> float:
    """The share of aligned, whole blocks of `outputs` x `inputs` that are all zero; 0 if there is no such block."""
    rows, columns = nonzero.shape[0] // outputs, nonzero.shape[1] // inputs
    if not rows or not columns:
        return 0.0
    whole: Mask = nonzero[: rows * outputs, : columns * inputs]
    if outputs > 1:
        whole = np.asarray(whole.reshape(rows, outputs, -1).any(axis=1), bool)
    if inputs > 1:
        whole = np.asarray(whole.reshape(rows, columns, inputs).any(axis=2), bool)
    share: float = 1 - int(np.count_nonzero(whole)) / (rows * columns)
    return share
