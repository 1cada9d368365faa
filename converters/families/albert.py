"""ALBERT (Lan et al. 2019, arXiv 1909.11942): narrow embeddings, and layers that share their weights.

`num_hidden_layers` counts how often a group of layers is applied; `num_hidden_groups` groups take
their turns, and one group is `inner_group_num` layers. Where the same weights act again, the same
Layer stands again in the Encoder, so that they are stored and counted once.
"""

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.layout import (
    LayerNames,
    finish,
    norm_epsilon,
    prefix_of,
    read_embeddings,
    read_layers,
    require_absolute_positions,
)
from converters.families.reading import TensorReader
from converters.model.encoder import Encoder, Layer

_LAYER = LayerNames(
    query="attention.query",
    key="attention.key",
    value="attention.value",
    output="attention.dense",
    attention_norm="attention.LayerNorm",
    up="ffn",
    down="ffn_output",
    norm="full_layer_layer_norm",
)

# Parts of other heads and of pre-training that play no part in answering.
_IGNORED = (
    "pooler.",
    "predictions.",
    "sop_classifier.",
    "classifier.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
)


def read(checkpoint: Checkpoint) -> Encoder:
    """Read an ALBERT question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "albert.")
    hidden = reader.integer("hidden_size")
    narrow = reader.integer("embedding_size", 128)
    epsilon = norm_epsilon(reader)
    require_absolute_positions(reader)
    embeddings = read_embeddings(
        reader,
        f"{prefix}embeddings",
        narrow,
        epsilon,
        projection=reader.linear(f"{prefix}encoder.embedding_hidden_mapping_in", hidden, narrow),
    )
    layers = _layers(reader, f"{prefix}encoder.albert_layer_groups", hidden, epsilon)
    head = reader.linear("qa_outputs", 2, hidden)
    activation = reader.activation("hidden_act", "gelu_new")
    finish(reader, "ALBERT", _IGNORED, prefix)
    return Encoder("albert", embeddings, layers, activation, head)


# Shared layers cost nothing to name, so the weights do not say how many times they are applied.
_MOST_TURNS = 1000


def _layers(reader: TensorReader, name: str, hidden: int, epsilon: float | None) -> tuple[Layer, ...]:
    """Read each group once, and return the layers in the order in which they act."""
    turns, groups = reader.integer("num_hidden_layers"), reader.integer("num_hidden_groups", 1)
    inner, heads = reader.integer("inner_group_num", 1), reader.integer("num_attention_heads")
    if turns > _MOST_TURNS:
        reader.problems.append(f"config num_hidden_layers: got {turns}, wanted at most {_MOST_TURNS}")
        turns = groups = 1
    if groups > turns:
        reader.problems.append(f"config num_hidden_groups: got {groups}, wanted at most num_hidden_layers ({turns})")
    shared = [
        read_layers(
            reader,
            f"{name}.{group}.albert_layers",
            _LAYER,
            layers=inner,
            heads=heads,
            hidden=hidden,
            epsilon=epsilon,
        )
        for group in range(groups)
    ]
    # As transformers writes it: where the groups do not divide the turns, its rounding decides.
    return tuple(layer for turn in range(turns) for layer in shared[int(turn / (turns / groups))])
