"""Model families: which there are, and how each one's tensors become an Encoder."""

from importlib import import_module

from converters.checkpoint import Checkpoint
from converters.encoder import Encoder
from edge_qa.errors import CheckpointError

# model_type in config.json -> the module that reads it; each has read(checkpoint) -> Encoder.
FAMILIES = {
    "bert": "converters.families.bert",
}


def read_encoder(checkpoint: Checkpoint) -> Encoder:
    """Read a checkpoint into an Encoder. Raises CheckpointError with every problem at once."""
    kind = checkpoint.config.get("model_type")
    if kind not in FAMILIES:
        raise CheckpointError(
            f"{checkpoint.path}/config.json: model_type {kind!r} is not supported; supported are {', '.join(FAMILIES)}"
        )
    encoder: Encoder = import_module(FAMILIES[kind]).read(checkpoint)
    return encoder
