"""ELECTRA (Clark et al. 2020, arXiv 2003.10555): BERT's layers, behind embeddings that may be narrower."""

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.layout import (
    BERT_LAYER,
    finish,
    norm_epsilon,
    position_kind,
    prefix_of,
    read_embeddings,
    read_layers,
)
from converters.families.reading import TensorReader
from converters.model.encoder import Encoder

# Parts of other heads and of pre-training that play no part in answering.
_IGNORED = (
    "discriminator_predictions.",
    "generator_predictions.",
    "generator_lm_head.",
    "pooler.",
    "classifier.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
)


def read(checkpoint: Checkpoint) -> Encoder:
    """Read an ELECTRA question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "electra.")
    hidden = reader.integer("hidden_size")
    narrow = reader.integer("embedding_size", 128)
    epsilon = norm_epsilon(reader)
    positions = position_kind(reader)
    embeddings = read_embeddings(
        reader,
        f"{prefix}embeddings",
        narrow,
        epsilon,
        projection=reader.linear(f"{prefix}embeddings_project", hidden, narrow) if narrow != hidden else None,
        relative=positions != "absolute",
    )
    layers = read_layers(
        reader,
        f"{prefix}encoder.layer",
        BERT_LAYER,
        layers=reader.integer("num_hidden_layers"),
        heads=reader.integer("num_attention_heads"),
        hidden=hidden,
        epsilon=epsilon,
        positions=positions,
    )
    head = reader.linear("qa_outputs", 2, hidden)
    activation = reader.activation("hidden_act")
    finish(reader, "ELECTRA", _IGNORED, prefix)
    return Encoder("electra", embeddings, layers, activation, head)
