"""RoBERTa (Liu et al. 2019, arXiv 1907.11692), and XLM-R and CamemBERT, which are built alike.

BERT's layers under its own name. Positions are counted from pad_token_id + 1, because fairseq kept
the rows up to the padding's own out of use; so 514 rows are 512 tokens.
"""

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.layout import (
    BERT_LAYER,
    finish,
    norm_epsilon,
    prefix_of,
    read_embeddings,
    read_layers,
    require_absolute_positions,
)
from converters.families.reading import TensorReader
from converters.model.encoder import Encoder

# Parts of other heads and of pre-training that play no part in answering.
_IGNORED = ("pooler.", "lm_head.", "classifier.", "embeddings.position_ids", "embeddings.token_type_ids")


def read(checkpoint: Checkpoint) -> Encoder:
    """Read a question-answering checkpoint of these families. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "roberta.")
    hidden = reader.integer("hidden_size")
    epsilon = norm_epsilon(reader)
    require_absolute_positions(reader)
    embeddings = read_embeddings(
        reader,
        f"{prefix}embeddings",
        hidden,
        epsilon,
        position_offset=reader.integer("pad_token_id", 1, least=0) + 1,
    )
    layers = read_layers(
        reader,
        f"{prefix}encoder.layer",
        BERT_LAYER,
        layers=reader.integer("num_hidden_layers"),
        heads=reader.integer("num_attention_heads"),
        hidden=hidden,
        epsilon=epsilon,
    )
    head = reader.linear("qa_outputs", 2, hidden)
    activation = reader.activation("hidden_act")
    finish(reader, "RoBERTa", _IGNORED, prefix)
    return Encoder(str(reader.config["model_type"]), embeddings, layers, activation, head)
