"""BERT (Devlin et al. 2018, arXiv 1810.04805), with what shares its layout: TinyBERT, MiniLM.

Shapes come from the weights, so that pruned heads and narrowed feed-forward blocks are read as
they are; the configuration only says how large one head was.
"""

import logging

from converters.checkpoint import Checkpoint
from converters.encoder import Attention, Embeddings, Encoder, FeedForward, Layer, Norm
from converters.families.reading import TensorReader
from converters.graph import attention_scale

_logger = logging.getLogger(__name__)

# Parts of other heads and of pre-training that play no part in answering.
_IGNORED = ("bert.pooler.", "pooler.", "cls.", "bert.embeddings.position_ids", "embeddings.position_ids", "fit_dense")


def read(checkpoint: Checkpoint) -> Encoder:
    """Read a BERT question-answering checkpoint. Raises CheckpointError with every problem at once."""
    reader = TensorReader(checkpoint)
    prefix = "bert." if any(name.startswith("bert.") for name in checkpoint.tensors) else ""
    hidden = reader.integer("hidden_size")
    epsilon = reader.number("layer_norm_eps", 1e-12)
    position = reader.config.get("position_embedding_type", "absolute")
    if position != "absolute":
        reader.problems.append(f"config position_embedding_type: got {position!r}, wanted 'absolute'")
    embeddings = Embeddings(
        word=reader.take(f"{prefix}embeddings.word_embeddings.weight", reader.integer("vocab_size"), hidden),
        position=reader.take(
            f"{prefix}embeddings.position_embeddings.weight", reader.integer("max_position_embeddings"), hidden
        ),
        position_offset=0,
        token_type=reader.take(
            f"{prefix}embeddings.token_type_embeddings.weight", reader.integer("type_vocab_size", 2), hidden
        ),
        norm=reader.norm(f"{prefix}embeddings.LayerNorm", hidden, epsilon),
    )
    layers = tuple(
        _layer(reader, f"{prefix}encoder.layer.{index}", hidden, epsilon)
        for index in range(reader.integer("num_hidden_layers"))
    )
    head = reader.linear("qa_outputs", 2, hidden)
    encoder = Encoder("bert", embeddings, layers, reader.activation("hidden_act"), head)
    unknown = reader.finish(ignored=_IGNORED)
    if unknown:
        _logger.warning("%s: tensors that BERT does not have were left out: %s", checkpoint.path, ", ".join(unknown))
    return encoder


def _layer(reader: TensorReader, name: str, hidden: int, epsilon: float) -> Layer:
    size = max(1, hidden // reader.integer("num_attention_heads"))
    query = f"{name}.attention.self.query.weight"
    rows = reader.shape(query)[0]
    if rows % size:
        reader.problems.append(f"{query}: got {rows} rows, wanted a multiple of the head size {size}")
    attention = Attention(
        heads=rows // size,
        scale=attention_scale(size),
        query=reader.linear(f"{name}.attention.self.query", rows, hidden),
        key=reader.linear(f"{name}.attention.self.key", rows, hidden),
        value=reader.linear(f"{name}.attention.self.value", rows, hidden),
        output=reader.linear(f"{name}.attention.output.dense", hidden, rows),
    )
    width = reader.shape(f"{name}.intermediate.dense.weight")[0]
    block = FeedForward(
        up=reader.linear(f"{name}.intermediate.dense", width, hidden),
        down=reader.linear(f"{name}.output.dense", hidden, width),
        norm=reader.norm(f"{name}.output.LayerNorm", hidden, epsilon),
    )
    norm: Norm = reader.norm(f"{name}.attention.output.LayerNorm", hidden, epsilon)
    return Layer(attention, norm, (block,))
