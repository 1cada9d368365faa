"""BERT (Devlin et al. 2018, arXiv 1810.04805), with what shares its layout: TinyBERT, MiniLM, nn_pruning's models.

Shapes come from the weights, so that pruned heads and narrowed feed-forward blocks are read as
they are; the configuration only says how large one head was: hidden_size / num_attention_heads,
as transformers has it. `attention_head_size` is never read (dynamic_tinybert says 26 of its 64),
nor is `pruned_heads`, which counts the heads that the rows no longer hold.
"""

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
_IGNORED = ("pooler.", "cls.", "embeddings.position_ids", "fit_dense")


def read(checkpoint: Checkpoint) -> Encoder:
    """Read a BERT question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "bert.")
    hidden = reader.integer("hidden_size")
    epsilon = norm_epsilon(reader)
    positions = position_kind(reader)
    relative = positions != "absolute"
    embeddings = read_embeddings(reader, f"{prefix}embeddings", hidden, epsilon, relative=relative)
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
    encoder = Encoder("bert", embeddings, layers, reader.activation("hidden_act"), head)
    finish(reader, "BERT", _IGNORED, prefix)
    return encoder
