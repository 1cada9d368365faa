"""What the recogniser says of a model: plain values, ready to become JSON."""

from dataclasses import dataclass
from typing import Literal

from converters.inspection.zero_patterns import ZeroPattern

HeadState = Literal["live", "dead", "mixing", "removed"]


@dataclass(frozen=True)
class FeedForwardReport:
    """One feed-forward block. kept: neurons that have weights on both sides; the others never change.

    original: the width that config.json gives, or None. padded: the zero neurons are the last ones
    and have no bias, as if a narrowed block had been filled up.
    """

    width: int
    kept: int
    original: int | None
    padded: bool


@dataclass(frozen=True)
class LayerReport:
    """One layer. heads: how many the weights hold, of how many originally. head_size: what one was trained with.

    head_numbers: the original number of each, or its place in the weights where that is not known.
    removed: the original numbers of those that are gone, None if not known. dead: those with zero
    values or zero output columns, which add at most a constant. mixing: those with zero queries or
    keys, which still mix the tokens. zeros, weights: of the layer's matrices.
    """

    heads: int
    heads_original: int
    head_size: int
    head_numbers: tuple[int, ...]
    removed: tuple[int, ...] | None
    dead: tuple[int, ...]
    mixing: tuple[int, ...]
    feed_forwards: tuple[FeedForwardReport, ...]
    zeros: int
    weights: int

    def head_states(self) -> tuple[HeadState, ...]:
        """One state for each original head; removed ones stand last where their numbers are not known."""
        states: list[HeadState] = ["removed"] * self.heads_original
        for number in self.head_numbers:
            states[number] = "dead" if number in self.dead else "mixing" if number in self.mixing else "live"
        return tuple(states)


@dataclass(frozen=True)
class TensorReport:
    """One matrix under its name in the graph; `table` if it is looked up instead of multiplied."""

    name: str
    table: bool
    zeros: ZeroPattern


@dataclass(frozen=True)
class Gain:
    """Multiply-adds of all matrix products for one input, as the weights are and after compaction.

    unpruned: with the heads and neurons that are gone already, as far as config.json tells of them.
    """

    tokens: int
    unpruned: int
    before: int
    after: int


@dataclass(frozen=True)
class Remainder:
    """Zeros that compaction leaves in matrices of one pattern, where no dense kernel can skip them."""

    pattern: str
    matrices: int
    zeros: int


@dataclass(frozen=True)
class Recognition:
    """What was found. zeros, weights: of all matrices that are multiplied; after: when it is compacted.

    notes: where config.json and the weights disagree; the weights were believed.
    """

    kind: str
    kinds: tuple[str, ...]
    family: str
    hidden: int
    activation: str
    parameters: int
    zeros: int
    weights: int
    weights_after: int
    layers: tuple[LayerReport, ...]
    tensors: tuple[TensorReport, ...]
    gains: tuple[Gain, ...]
    remaining: tuple[Remainder, ...]
    notes: tuple[str, ...]
