"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT's layers without token types, under names of its own.

Its positions are stored as a table, whether they were learned or are sines.
"""

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.layout import LayerNames, finish, norm_epsilon, prefix_of, read_embeddings, read_layers
from converters.families.reading import TensorReader
from converters.model.encoder import Encoder

DISTILBERT_LAYER = LayerNames(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    output="attention.out_lin",
    attention_norm="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    norm="output_layer_norm",
)
# Not in config.json: written into the model's code.
_EPSILON = 1e-12
# Parts of other heads and of pre-training that play no part in answering.
_IGNORED = ("vocab_", "pre_classifier.", "classifier.", "embeddings.position_ids")


def read(checkpoint: Checkpoint) -> Encoder:
    """Read a DistilBERT question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = prefix_of(checkpoint, "distilbert.")
    hidden = reader.integer("dim")
    epsilon = norm_epsilon(reader, _EPSILON)
    embeddings = read_embeddings(reader, f"{prefix}embeddings", hidden, epsilon, token_types=False)
    layers = read_layers(
        reader,
        f"{prefix}transformer.layer",
        DISTILBERT_LAYER,
        layers=reader.integer("n_layers"),
        heads=reader.integer("n_heads"),
        hidden=hidden,
        epsilon=epsilon,
    )
    head = reader.linear("qa_outputs", 2, hidden)
    activation = reader.activation("activation")
    finish(reader, "DistilBERT", _IGNORED, prefix)
    return Encoder("distilbert", embeddings, layers, activation, head)
