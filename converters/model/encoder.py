"""The Encoder: one family-neutral value of plain numpy arrays that every checkpoint is read into.

Shapes use H for the hidden size, E for the embedding size, n for heads, d and v for the sizes of
one head's keys and values, W for the width of a feed-forward block. Linear weights are stored
[out, in] and act as x @ weight.T + bias. Arrays keep the floating type of their checkpoint.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
T = TypeVar("T")
# gelu_10: clipped to -10..10. quick_gelu: x * sigmoid(1.702 x). relu2: the square of relu.
Activation = Literal["gelu", "gelu_10", "gelu_tanh", "mish", "quick_gelu", "relu", "relu2", "silu", "tanh"]
AttentionInput = Literal["shared", "narrow", "whole"]


@dataclass(frozen=True, eq=False)
class Linear:
    """x @ weight.T + bias; weight (out, in), bias (out,)."""

    weight: Array
    bias: Array

    @property
    def outputs(self) -> int:
        """Rows of the weight."""
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        """Columns of the weight."""
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False)
class Norm:
    """Layer norm over the last axis, or, with epsilon None, MobileBERT's no-norm: x * weight + bias."""

    weight: Array
    bias: Array
    epsilon: float | None


@dataclass(frozen=True, eq=False)
class Embeddings:
    """norm(word + position + token_type), then an optional projection to H.

    word: (vocabulary, E). position: (positions, E); row i + position_offset belongs to token i, and is zero
    where attention tells positions apart by itself.
    token_type: (types, E), or None where the family has none.
    widen: MobileBERT's first step, before positions and types are added; these are then (.., H).
    Of 3E inputs it reads the next token, the token and the previous one side by side, zeros where
    there is none or it is padding; of E, the token.
    """

    word: Array
    position: Array
    position_offset: int
    token_type: Array | None
    norm: Norm
    projection: Linear | None = None
    widen: Linear | None = None


@dataclass(frozen=True, eq=False)
class Relative:
    """What a score gains by the distance of its two tokens (Shaw et al. 2018, arXiv 1803.02155; Huang et al. 2020).

    table: (2 * positions - 1, d), the same for every head; row i - j + positions - 1 belongs to query i and key j.
    The score gains query @ row, before it is scaled; with `of_keys` also key @ row.
    """

    table: Array
    of_keys: bool = False

    @property
    def positions(self) -> int:
        """The longest input that the table reaches over, tokens."""
        return (int(self.table.shape[0]) + 1) // 2


@dataclass(frozen=True, eq=False)
class Attention:
    """Multi-head attention over `heads` heads; a layer may have none, then only output.bias is left.

    query, key: (n*d, in). value: (n*v, in). output: (H, n*v).
    scale: what the scores are multiplied by, 1/sqrt of the head size the model was trained with;
    a head that was narrowed later keeps it.
    relative: what is added to the scores by distance, or None.
    """

    heads: int
    scale: float
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    relative: Relative | None = None

    @property
    def key_size(self) -> int:
        """d, of one head's keys; 0 without heads."""
        return self.query.outputs // self.heads if self.heads else 0

    @property
    def value_size(self) -> int:
        """v, of one head's values; 0 without heads."""
        return self.value.outputs // self.heads if self.heads else 0


def attention_scale(head_size: int) -> float:
    """Return the factor that attention scores are multiplied by: 1/sqrt(head size)."""
    return 1.0 / math.sqrt(head_size)


@dataclass(frozen=True, eq=False)
class FeedForward:
    """norm(x + down(activation(up(x)))); of width 0 only down.bias is left."""

    up: Linear
    down: Linear
    norm: Norm

    @property
    def width(self) -> int:
        """W, its neurons."""
        return self.up.outputs


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """MobileBERT's narrow middle: the layer works on `input`(x), and `output` widens and adds x again.

    attention_input: what is attended with. "shared": queries and keys read `shared`(x), values x
    itself. "narrow": all three read `input`(x). "whole": all three read x itself. `shared` and its
    norm are None but for the first.
    """

    input: Linear
    input_norm: Norm
    shared: Linear | None
    shared_norm: Norm | None
    output: Linear
    output_norm: Norm
    attention_input: AttentionInput = "shared"


@dataclass(frozen=True, eq=False)
class Layer:
    """a = attention_norm(x + attention(x)), then each feed-forward block in turn."""

    attention: Attention
    attention_norm: Norm
    feed_forwards: tuple[FeedForward, ...]
    bottleneck: Bottleneck | None = None


@dataclass(frozen=True, eq=False)
class Encoder:
    """A whole extractive question-answering model; `head` has two rows, start and end.

    Layers that share their weights (ALBERT) are the same object.
    """

    family: str
    embeddings: Embeddings
    layers: tuple[Layer, ...]
    activation: Activation
    head: Linear

    @property
    def hidden(self) -> int:
        """H, the hidden size."""
        return self.head.inputs

    @property
    def vocabulary(self) -> int:
        """Rows of the table of word embeddings."""
        return int(self.embeddings.word.shape[0])

    @property
    def longest_input(self) -> int:
        """The most tokens that the position table has rows for."""
        return int(self.embeddings.position.shape[0]) - self.embeddings.position_offset

    @property
    def token_types(self) -> int:
        """How many token types the model tells apart; 0 if it takes none."""
        return 0 if self.embeddings.token_type is None else int(self.embeddings.token_type.shape[0])


def named_arrays(value: Any, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Yield every array under an Encoder or a part of it with its path, such as "layers.3.attention.query.weight".

    A layer that is shared is yielded at its first place only.
    """
    seen: set[int] = set()

    def walk(node: Any, path: str) -> Iterator[tuple[str, Array]]:
        if isinstance(node, np.ndarray):
            if id(node) not in seen:
                seen.add(id(node))
                yield path, node
        elif isinstance(node, tuple):
            for index, item in enumerate(node):
                yield from walk(item, f"{path}.{index}" if path else str(index))
        elif hasattr(node, "__dataclass_fields__"):
            for name in node.__dataclass_fields__:
                yield from walk(getattr(node, name), f"{path}.{name}" if path else name)

    yield from walk(value, prefix)


def map_arrays(value: T, change: Callable[[Array], Array]) -> T:
    """Return a copy of an Encoder, or of a part, with every array changed once; what was shared stays shared."""
    done: dict[int, Any] = {}

    def walk(node: Any) -> Any:
        if id(node) in done:
            return done[id(node)]
        if isinstance(node, np.ndarray):
            result: Any = change(node)
        elif isinstance(node, tuple):
            result = tuple(walk(item) for item in node)
        elif hasattr(node, "__dataclass_fields__"):
            result = replace(node, **{name: walk(getattr(node, name)) for name in node.__dataclass_fields__})
        else:
            return node
        done[id(node)] = result
        return result

    return walk(value)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class TensorDensity:
    """How much of one array is not zero."""

    name: str
    shape: tuple[int, ...]
    nonzero: int
    size: int


def density(encoder: Encoder) -> list[TensorDensity]:
    """Count the nonzero values of every array of the encoder, in the order of `named_arrays`."""
    return [
        TensorDensity(name, tuple(array.shape), int(np.count_nonzero(array)), int(array.size))
        for name, array in named_arrays(encoder)
    ]
