"""MobileBERT (Sun et al. 2020, arXiv 2004.02984): trigram embeddings, bottlenecks, stacked feed-forward blocks.

Each layer works at `intra_bottleneck_size` between two linear maps from and to `hidden_size`; its
norms are plain scales and shifts ("no_norm") unless `normalization_type` says otherwise.

Padding never changes an answer here. In transformers it can: there the last token's next neighbour
is zeros in an unpadded input but the padding's embedding in a padded one, where that is not zero.
"""

from dataclasses import dataclass

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.layout import checked_layers, finish, prefix_of, rows_of
from converters.families.reading import TensorReader
from converters.model.encoder import (
    Attention,
    AttentionInput,
    Bottleneck,
    Embeddings,
    Encoder,
    FeedForward,
    Layer,
    attention_scale,
)

# Parts of pre-training that play no part in answering.
_IGNORED = ("pooler.", "cls.", "embeddings.position_ids")

# transformers builds the norms of the embeddings and of the last feed-forward block without the
# configured epsilon: they run with torch's own.
_TORCH_EPSILON = 1e-5


@dataclass(frozen=True)
class _Shape:
    """The sizes and switches of config.json. narrow: the width inside a layer, `hidden` without bottlenecks."""

    hidden: int
    narrow: int
    embedding: int
    heads: int
    blocks: int
    epsilon: float | None
    torch_epsilon: float | None
    trigram: bool
    bottleneck: bool
    attention_input: AttentionInput


def read(checkpoint: Checkpoint) -> Encoder:
    """Read a MobileBERT question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "mobilebert.")
    shape = _shape(reader)
    embeddings = _embeddings(reader, f"{prefix}embeddings", shape)
    names = checked_layers(reader, f"{prefix}encoder.layer", reader.integer("num_hidden_layers", 24))
    layers = tuple(_layer(reader, name, shape) for name in names)
    head = reader.linear("qa_outputs", 2, shape.hidden)
    activation = reader.activation("hidden_act", "relu")
    finish(reader, "MobileBERT", _IGNORED, prefix)
    return Encoder("mobilebert", embeddings, layers, activation, head)


def _shape(reader: TensorReader) -> _Shape:
    hidden = reader.integer("hidden_size", 512)
    bottleneck = _switch(reader, "use_bottleneck", True)
    narrow = reader.integer("intra_bottleneck_size", 128) if bottleneck else hidden
    attention_input: AttentionInput = "whole"
    if _switch(reader, "use_bottleneck_attention", False):
        attention_input = "narrow"
    elif _switch(reader, "key_query_shared_bottleneck", True):
        attention_input = "shared"
    if attention_input == "whole" and narrow != hidden:
        reader.problems.append(
            f"config key_query_shared_bottleneck and use_bottleneck_attention: got false twice, wanted one of them "
            f"while intra_bottleneck_size ({narrow}) is not hidden_size ({hidden})"
        )
    kind = reader.config.get("normalization_type", "no_norm")
    if kind not in ("no_norm", "layer_norm"):
        reader.problems.append(f"config normalization_type: got {kind!r}, wanted no_norm or layer_norm")
    return _Shape(
        hidden=hidden,
        narrow=narrow,
        embedding=reader.integer("embedding_size", 128),
        heads=reader.integer("num_attention_heads", 4),
        blocks=reader.integer("num_feedforward_networks", 4),
        epsilon=None if kind == "no_norm" else reader.number("layer_norm_eps", 1e-12),
        torch_epsilon=None if kind == "no_norm" else _TORCH_EPSILON,
        trigram=_switch(reader, "trigram_input", True),
        bottleneck=bottleneck,
        attention_input=attention_input,
    )


def _switch(reader: TensorReader, key: str, default: bool) -> bool:
    value = reader.config.get(key, default)
    if not isinstance(value, bool):
        reader.problems.append(f"config {key}: got {value!r}, wanted true or false")
        return default
    return value


def _embeddings(reader: TensorReader, name: str, shape: _Shape) -> Embeddings:
    hidden, narrow = shape.hidden, shape.embedding
    widen, transformation = None, f"{name}.embedding_transformation"
    if shape.trigram or narrow != hidden:
        widen = reader.linear(transformation, hidden, narrow * (3 if shape.trigram else 1))
    else:
        # Stored by transformers all the same, and never applied.
        reader.used.update((f"{transformation}.weight", f"{transformation}.bias"))
    return Embeddings(
        word=reader.take(f"{name}.word_embeddings.weight", reader.integer("vocab_size", 30522), narrow),
        position=reader.take(
            f"{name}.position_embeddings.weight", reader.integer("max_position_embeddings", 512), hidden
        ),
        position_offset=0,
        token_type=reader.take(f"{name}.token_type_embeddings.weight", reader.integer("type_vocab_size", 2), hidden),
        norm=reader.norm(f"{name}.LayerNorm", hidden, shape.torch_epsilon),
        widen=widen,
    )


def _layer(reader: TensorReader, name: str, shape: _Shape) -> Layer:
    narrow, epsilon = shape.narrow, shape.epsilon
    blocks = [_feed_forward(reader, f"{name}.ffn.{index}", shape, epsilon) for index in range(shape.blocks - 1)]
    # The last block has no number: its parts stand in the layer itself.
    blocks.append(_feed_forward(reader, name, shape, shape.torch_epsilon))
    return Layer(
        attention=_attention(reader, f"{name}.attention", shape),
        attention_norm=reader.norm(f"{name}.attention.output.LayerNorm", narrow, epsilon),
        feed_forwards=tuple(blocks),
        bottleneck=_bottleneck(reader, name, shape) if shape.bottleneck else None,
    )


def _attention(reader: TensorReader, name: str, shape: _Shape) -> Attention:
    size = max(1, shape.narrow // shape.heads)
    query = f"{name}.self.query"
    rows = rows_of(reader, query)
    if rows is not None and rows % size:
        reader.problems.append(f"{query}.weight: got {rows} rows, wanted a multiple of the head size {size}")
    values_from = shape.narrow if shape.attention_input == "narrow" else shape.hidden
    return Attention(
        heads=(rows or 0) // size,
        scale=attention_scale(size),
        query=reader.linear(query, rows, shape.narrow),
        key=reader.linear(f"{name}.self.key", rows, shape.narrow),
        value=reader.linear(f"{name}.self.value", rows, values_from),
        output=reader.linear(f"{name}.output.dense", shape.narrow, rows),
    )


def _feed_forward(reader: TensorReader, name: str, shape: _Shape, epsilon: float | None) -> FeedForward:
    up = f"{name}.intermediate.dense"
    width = rows_of(reader, up)
    return FeedForward(
        up=reader.linear(up, width, shape.narrow),
        down=reader.linear(f"{name}.output.dense", shape.narrow, width),
        norm=reader.norm(f"{name}.output.LayerNorm", shape.narrow, epsilon),
    )


def _bottleneck(reader: TensorReader, name: str, shape: _Shape) -> Bottleneck:
    hidden, narrow, epsilon = shape.hidden, shape.narrow, shape.epsilon
    shared = shared_norm = None
    attention = f"{name}.bottleneck.attention"
    if shape.attention_input == "shared":
        shared = reader.linear(f"{attention}.dense", narrow, hidden)
        shared_norm = reader.norm(f"{attention}.LayerNorm", narrow, epsilon)
    else:
        # Stored by transformers all the same, and never applied.
        reader.used.update(key for key in reader.tensors if key.startswith(f"{attention}."))
    return Bottleneck(
        input=reader.linear(f"{name}.bottleneck.input.dense", narrow, hidden),
        input_norm=reader.norm(f"{name}.bottleneck.input.LayerNorm", narrow, epsilon),
        shared=shared,
        shared_norm=shared_norm,
        output=reader.linear(f"{name}.output.bottleneck.dense", hidden, narrow),
        output_norm=reader.norm(f"{name}.output.bottleneck.LayerNorm", hidden, epsilon),
        attention_input=shape.attention_input,
    )
