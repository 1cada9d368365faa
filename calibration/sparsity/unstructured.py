"""Unstructured magnitude pruning by NNCF, which prunes torch models: transformers loads the checkpoint."""

import logging
from collections.abc import Mapping

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint
from converters.families.formats import CHECKPOINT_FORMATS, CheckpointFormat
from converters.inspection.zero_patterns import Mask
from converters.model.encoder import Array
from converters.torch_export.transformers_model import TorchModel
from edge_qa._openvino import without_telemetry
from edge_qa.errors import CheckpointError, missing_extra
from edge_qa.text.tokenizer import TextTokenizer

without_telemetry()
try:
    import nncf
    import torch
    from nncf.torch.function_hook.pruning.magnitude.algo import get_pruned_modules
except ModuleNotFoundError as error:
    raise missing_extra(error, "calibrate,torch") from None

# Its log goes to stdout, where a command's data goes.
nncf.set_log_level(logging.ERROR)

# NNCF prunes embeddings, too, unless they are ignored.
_DENSE = nncf.IgnoredScope(patterns=[r".*embeddings.*", r".*qa_outputs.*"])
_TOKENS = 8  # of the input that NNCF traces the model with; any number would do


def magnitude_masks(checkpoint: Checkpoint, family: str, weights: Mapping[str, Array], ratio: float) -> dict[str, Mask]:
    """Return which weights (out, in) of each encoder Linear stay, by the names of converters/model/matrices.py.

    family: the Encoder's. weights: its matrices, by the same names. In each of them the share `ratio`
    goes, and every other weight that is exactly as large as the last of these.
    Raises CheckpointError if transformers cannot load the checkpoint, or loads other weights.
    """
    template = TextTokenizer(checkpoint.tokenizer, f"{checkpoint.path}: tokenizer").template
    network = TorchModel(checkpoint, template).network
    tensors = {name: _tensor_name(name, CHECKPOINT_FORMATS[family]) for name in weights}
    _check_same(checkpoint, network, weights, tensors)
    example = {key: torch.ones((1, _TOKENS), dtype=torch.long) for key in ("input_ids", "attention_mask")}
    pruned = nncf.prune(
        network,
        nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL,
        ratio=ratio,
        ignored_scope=_DENSE,
        examples_inputs=example,
    )
    # nncf.strip would write the masks into the weights, but wants torchao, which nothing else here needs.
    masks = {name: module.binary_mask.numpy() for name, module in get_pruned_modules(pruned).items()}
    if masks.keys() != set(tensors.values()):
        odd = ", ".join(sorted(masks.keys() ^ set(tensors.values())))
        raise CheckpointError(
            f"NNCF does not prune the encoder's weights alone ({odd})", where=checkpoint.path, remedy="report it"
        )
    return {name: masks[tensor] for name, tensor in tensors.items()}


def _tensor_name(name: str, form: CheckpointFormat) -> str:
    """The name in a torch model of a matrix of converters/model/matrices.py, such as "encoder.layer.3.ffn.0.up"."""
    _, _, layer, part = name.split(".", 3)
    own = {
        "attention.query": form.names.query,
        "attention.key": form.names.key,
        "attention.value": form.names.value,
        "attention.output": form.names.output,
        "ffn.0.up": form.names.up,
        "ffn.0.down": form.names.down,
    }
    return f"{form.prefix}{form.layers}.{layer}.{own[part]}.weight"


def _check_same(
    checkpoint: Checkpoint, network: "torch.nn.Module", weights: Mapping[str, Array], tensors: Mapping[str, str]
) -> None:
    """Raise CheckpointError if torch holds other weights: those that a mask of scores is still to change, say."""
    loaded = network.state_dict()
    for name, weight in weights.items():
        got = loaded.get(tensors[name])
        if got is None or not np.array_equal(got.numpy(), weight.astype(np.float32)):
            raise CheckpointError(
                f"transformers loads other weights than this project as {tensors[name]}",
                where=checkpoint.path,
                remedy="finish the checkpoint with the tool that trained it first",
            )
