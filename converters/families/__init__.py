"""Model families: which there are, and how each one's tensors become an Encoder."""

from importlib import import_module

from converters.checkpoints.checkpoint import Checkpoint
from converters.model.encoder import Encoder
from converters.pruned_checkpoints.fine_pruning import apply_pruning
from converters.pruned_checkpoints.pruning_settings import pruning_settings
from edge_qa.errors import CheckpointError

# model_type in config.json -> the module that reads it; each has read(checkpoint) -> Encoder.
FAMILIES = {
    "albert": "converters.families.albert",
    "bert": "converters.families.bert",
    "camembert": "converters.families.roberta",
    "distilbert": "converters.families.distilbert",
    "electra": "converters.families.electra",
    "masked_bert": "converters.families.bert",
    "mobilebert": "converters.families.mobilebert",
    "roberta": "converters.families.roberta",
    "xlm-roberta": "converters.families.roberta",
}


def read_encoder(checkpoint: Checkpoint) -> Encoder:
    """Read a checkpoint into an Encoder. Raises CheckpointError with every problem at once.

    Mask scores that a pruning left behind are applied as the checkpoint's sparse_args.json says.
    """
    kind = checkpoint.config.get("model_type")
    if kind is None:
        named = checkpoint.config.get("architectures")
        known = [kind for kind in FAMILIES if str(named).lower().startswith(f"['{kind.replace('-', '')}for")]
        raise CheckpointError(
            f"names no model_type{f', and architectures {named}' if named else ''}",
            where=f"{checkpoint.path}/config.json",
            remedy=f'add "model_type": "{known[0]}"' if known else f"add it: one of {', '.join(FAMILIES)}",
        )
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise CheckpointError(
            f"model_type {kind!r} is not supported natively, only {', '.join(FAMILIES)} are",
            where=f"{checkpoint.path}/config.json",
            remedy="`torch` exports others through transformers",
        )
    settings = pruning_settings(checkpoint)
    if settings is not None:
        checkpoint = apply_pruning(checkpoint, settings)
    encoder: Encoder = import_module(FAMILIES[kind]).read(checkpoint)
    return encoder
