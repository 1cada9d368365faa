"""What each number of heads and each width of a layer costs: a table that a search can add up.

Two makers: multiply-adds by arithmetic, here, and measured milliseconds, in calibration/shrinking/latency_model.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from converters.model.encoder import Encoder
from converters.model.matrices import head_multiply_adds, neuron_multiply_adds

Unit = Literal["ms", "multiply-adds"]

# Neurons go in groups of this many. benchmarks/experiments/width_rounding.py finds no step in the kernels' speed; it
# keeps the search small.
WIDTH_STEP = 16


@dataclass(frozen=True)
class StructureCosts:
    """The cost of a model is base + heads[layer][number of heads] + widths[layer][option], summed over layers.

    heads: by layer, for 0, 1, .. all heads. width_options: by layer, the widths to choose from, rising,
    from 0 to the whole. widths: by layer, the cost of each of them.
    """

    unit: Unit
    base: float
    heads: tuple[tuple[float, ...], ...]
    width_options: tuple[tuple[int, ...], ...]
    widths: tuple[tuple[float, ...], ...]

    @property
    def dense(self) -> float:
        """The cost of everything."""
        return self.base + sum(layer[-1] for layer in (*self.heads, *self.widths))

    @property
    def least(self) -> float:
        """The cost of what cannot be removed, and of the cheapest choice everywhere else."""
        return self.base + sum(min(layer) for layer in (*self.heads, *self.widths))

    @property
    def most_speedup(self) -> float:
        """How many times cheaper the cheapest model is than the whole one."""
        return self.dense / self.least if self.least > 0 else float("inf")

    def of(self, heads: Sequence[int], widths: Sequence[int]) -> float:
        """The cost of a model of so many heads and so wide in each layer; between two options a straight line."""
        attention = sum(layer[count] for layer, count in zip(self.heads, heads, strict=True))
        rows = zip(widths, self.width_options, self.widths, strict=True)
        return self.base + attention + sum(float(np.interp(*row)) for row in rows)


def width_options(width: int, step: int = WIDTH_STEP) -> tuple[int, ...]:
    """The widths that a block of `width` neurons may get: multiples of the step, and the whole."""
    return (*range(0, width, step), width)


def multiply_add_costs(encoder: Encoder, tokens: int) -> StructureCosts:
    """Return the multiply-adds of the encoder's layers for one input of `tokens` tokens; the base is 0."""
    options = tuple(width_options(layer.feed_forwards[0].width) for layer in encoder.layers)
    heads = [head_multiply_adds(layer.attention, tokens) for layer in encoder.layers]
    neurons = [neuron_multiply_adds(layer.feed_forwards[0], tokens) for layer in encoder.layers]
    return StructureCosts(
        unit="multiply-adds",
        base=0.0,
        heads=tuple(
            tuple(float(count * each) for count in range(layer.attention.heads + 1))
            for layer, each in zip(encoder.layers, heads, strict=True)
        ),
        width_options=options,
        widths=tuple(
            tuple(float(width * each) for width in widths) for widths, each in zip(options, neurons, strict=True)
        ),
    )
