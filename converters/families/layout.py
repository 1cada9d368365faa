"""The layout that most families share: the same embeddings and layers, under other names."""

import logging
import re
from dataclasses import dataclass

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.reading import TensorReader
from converters.model.encoder import Attention, Embeddings, FeedForward, Layer, Linear, Relative, attention_scale
from edge_qa.errors import CheckpointError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LayerNames:
    """What the parts of one layer are called, below the name of the layer."""

    query: str
    key: str
    value: str
    output: str
    attention_norm: str
    up: str
    down: str
    norm: str
    distance: str = "attention.self.distance_embedding"


BERT_LAYER = LayerNames(
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
    norm="output.LayerNorm",
)


def prefix_of(checkpoint: Checkpoint, prefix: str) -> str:
    """`prefix` if the tensors carry it, else "": a bare encoder was saved without."""
    return prefix if any(name.startswith(prefix) for name in checkpoint.tensors) else ""


def require_absolute_positions(reader: TensorReader) -> None:
    """Note a problem if the attention adds relative positions, which checkpoints of this family are not read with."""
    position = reader.config.get("position_embedding_type", "absolute")
    if position != "absolute":
        reader.problems.append(f"config position_embedding_type: got {position!r}, wanted 'absolute'")


def position_kind(reader: TensorReader) -> str:
    """How tokens are told apart: "absolute", "relative_key" or "relative_key_query" (Huang et al. 2020)."""
    kinds = ("absolute", "relative_key", "relative_key_query")
    position = reader.config.get("position_embedding_type", "absolute")
    if position not in kinds:
        reader.problems.append(f"config position_embedding_type: got {position!r}, wanted one of {', '.join(kinds)}")
        return "absolute"
    return str(position)


def norm_epsilon(reader: TensorReader, default: float | None = None) -> float | None:
    """The epsilon of every layer norm, or None where nn_pruning replaced them all by x * weight + bias.

    Its `Layer2NoNorm` takes the place of each nn.LayerNorm, the embeddings' too, under the same tensor
    names; only `layer_norm_type` tells. default: of a family whose config.json does not say it.
    """
    kind = reader.config.get("layer_norm_type", "layer_norm")
    if kind == "no_norm":
        return None
    if kind != "layer_norm":
        reader.problems.append(f"config layer_norm_type: got {kind!r}, wanted 'layer_norm' or 'no_norm'")
    return reader.number("layer_norm_eps", 1e-12) if default is None else default


def read_embeddings(
    reader: TensorReader,
    name: str,
    size: int,
    epsilon: float | None,
    *,
    position_offset: int = 0,
    token_types: bool = True,
    projection: Linear | None = None,
    relative: bool = False,
) -> Embeddings:
    """Read the three tables and their norm, each row of `size`, sized as config.json says.

    relative: attention tells positions apart; a table of them may be stored all the same, and is never added.
    """
    positions = reader.integer("max_position_embeddings", 512)
    if positions <= position_offset:
        reader.problems.append(
            f"config max_position_embeddings: got {positions}, wanted more than the {position_offset} "
            "rows that stand before the first token's"
        )
    types = f"{name}.token_type_embeddings.weight"
    places = f"{name}.position_embeddings.weight"
    reader.used.add(places)
    return Embeddings(
        word=reader.take(f"{name}.word_embeddings.weight", reader.integer("vocab_size"), size),
        position=np.zeros((positions, size), np.float32) if relative else reader.take(places, positions, size),
        position_offset=position_offset,
        token_type=reader.take(types, reader.integer("type_vocab_size", 2), size) if token_types else None,
        norm=reader.norm(f"{name}.LayerNorm", size, epsilon),
        projection=projection,
    )


def read_layers(
    reader: TensorReader,
    name: str,
    names: LayerNames,
    *,
    layers: int,
    heads: int,
    hidden: int,
    epsilon: float | None,
    positions: str = "absolute",
) -> tuple[Layer, ...]:
    """Read name.0, name.1 and so on. heads: of an unpruned layer; only the size of one is taken from it.

    positions: as `position_kind` gives them.
    """
    if hidden % heads:
        reader.problems.append(f"config: hidden size {hidden} is no multiple of the {heads} attention heads")
    head_size = max(1, hidden // heads)
    return tuple(
        read_layer(reader, layer, names, hidden, head_size, epsilon, positions)
        for layer in checked_layers(reader, name, layers)
    )


def checked_layers(reader: TensorReader, name: str, layers: int) -> list[str]:
    """The names of the layers name.0, name.1 ... that the weights hold, which should be as many as config.json says."""
    numbers = {key[len(name) + 1 :].split(".")[0] for key in reader.tensors if key.startswith(f"{name}.")}
    held = next(count for count in range(len(numbers) + 1) if str(count) not in numbers)
    if held != layers:
        reader.problems.append(f"config: {layers} layers, but the weights hold {held} ({name}.0 and so on)")
    return [f"{name}.{index}" for index in range(held)]


def read_layer(
    reader: TensorReader,
    name: str,
    names: LayerNames,
    hidden: int,
    head_size: int,
    epsilon: float | None,
    positions: str = "absolute",
) -> Layer:
    """Read one layer. Its rows say how many heads and neurons are left, whatever config.json says."""
    query, up = f"{name}.{names.query}", f"{name}.{names.up}"
    rows, width = rows_of(reader, query), rows_of(reader, up)
    if rows is not None and rows % head_size:
        reader.problems.append(f"{query}.weight: got {rows} rows, wanted a multiple of the head size {head_size}")
    attention = Attention(
        heads=(rows or 0) // head_size,
        scale=attention_scale(head_size),
        query=reader.linear(query, rows, hidden),
        key=reader.linear(f"{name}.{names.key}", rows, hidden),
        value=reader.linear(f"{name}.{names.value}", rows, hidden),
        output=reader.linear(f"{name}.{names.output}", hidden, rows),
        relative=None if positions == "absolute" else _relative(reader, name, names, head_size, positions),
    )
    block = FeedForward(
        up=reader.linear(up, width, hidden),
        down=reader.linear(f"{name}.{names.down}", hidden, width),
        norm=reader.norm(f"{name}.{names.norm}", hidden, epsilon),
    )
    return Layer(attention, reader.norm(f"{name}.{names.attention_norm}", hidden, epsilon), (block,))


def _relative(reader: TensorReader, name: str, names: LayerNames, head_size: int, positions: str) -> Relative:
    distances = 2 * reader.integer("max_position_embeddings", 512) - 1
    table = reader.take(f"{name}.{names.distance}.weight", distances, head_size)
    return Relative(table, of_keys=positions == "relative_key_query")


def rows_of(reader: TensorReader, name: str) -> int | None:
    """How many rows name.weight has; None if it is missing, which must not make its neighbours look wrong too."""
    shape = reader.shape(f"{name}.weight")
    return shape[0] if f"{name}.weight" in reader.tensors and len(shape) == 2 else None


def finish(reader: TensorReader, family: str, ignored: tuple[str, ...], prefix: str = "") -> None:
    """Raise CheckpointError with every problem, or warn of tensors that `family` does not have.

    ignored: beginnings of names that are known to play no part, with and without the prefix.
    """
    unknown = reader.finish(ignored=(*ignored, *(f"{prefix}{name}" for name in ignored)))
    inside = [name for name in unknown if re.search(r"\blayer\.\d+\.", name)]
    if inside:
        # Something in a layer that is not computed makes every answer wrong.
        raise CheckpointError(
            f"layers hold tensors that {family} does not have: {', '.join(inside[:10])}",
            where=reader.path,
            remedy="wanted an ordinary checkpoint of this family",
        )
    if unknown:
        _logger.warning("%s: tensors that %s does not have were left out: %s", reader.path, family, ", ".join(unknown))
