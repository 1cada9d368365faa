"""A raw training checkpoint of nn_pruning or movement pruning -> the plain checkpoint that it stands for.

What their `compile_model` and `bertarize` do: mask scores are applied to the weights, a layer norm
on its way to no-norm is folded, GELU on its way to ReLU becomes ReLU.
"""

import re
from dataclasses import replace

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint
from converters.model.encoder import Array
from converters.pruned_checkpoints.mask_scores import (
    mask_from_blocks,
    mask_from_lines,
    mask_from_patterns,
    mask_two_of_four,
)
from converters.pruned_checkpoints.pruning_settings import ADDED, OPTIONS, SETTINGS_FILE, PruningSettings
from edge_qa.errors import CheckpointError

_WHOLE = ".mask_scores"
_PART = ".mask_module.context_modules.{}.mask_scores"
_AMPERE, _PATTERNS = ".ampere_module.context_module.mask_scores", ".ampere_module.ampere_pattern"
_ACCUMULATOR = ".accumulator"
_ATTENTION = (".query", ".key", ".value", "q_lin", "k_lin", "v_lin")
_ATTENTION_OUTPUT = ("attention.output.dense", "attention.out_lin", "attention.dense")


def apply_pruning(checkpoint: Checkpoint, settings: PruningSettings) -> Checkpoint:
    """Return the plain checkpoint: masked weights, folded norms, and nothing else of the training.

    Raises CheckpointError for what cannot be applied exactly.
    """
    tensors, config = dict(checkpoint.tensors), dict(checkpoint.config)
    modules = sorted({_module(name) for name in tensors if "mask_scores" in name})
    _check_complete(checkpoint, modules)
    used: set[str] = set()
    for module in modules:
        used |= _mask_linear(tensors, module, settings, f"{checkpoint.path}: {module}")
    accumulators = [name for name in tensors if name.endswith(_ACCUMULATOR)]
    if accumulators:
        _fold_norms(checkpoint, tensors, accumulators)
        config["layer_norm_type"] = "no_norm"
        used |= set(accumulators)
    if settings.relu:
        config["activation" if config.get("model_type") == "distilbert" else "hidden_act"] = "relu"
    left = sorted(name for name in tensors if name not in used and ADDED.search(name))
    if left:
        raise CheckpointError(
            f"{left[0]} belongs to no pruning method that is known here",
            where=checkpoint.path,
            remedy="compile the model with the tool that trained it first",
        )
    plain = {name: array for name, array in tensors.items() if name not in used}
    return replace(checkpoint, config=config, tensors=plain)


def _module(name: str) -> str:
    """The layer that a tensor of mask scores belongs to."""
    return re.sub(r"(\.mask_module\..+|\.ampere_module\..+)?\.mask_scores$", "", name)


def _check_complete(checkpoint: Checkpoint, modules: list[str]) -> None:
    """Scores that several layers share are sometimes saved once; the others would pass for unpruned."""
    kinds = [re.sub(r"\.\d+\.", ".N.", module) for module in modules]
    weights = [re.sub(r"\.\d+\.", ".N.", name) for name in checkpoint.tensors if name.endswith(".weight")]
    for kind in sorted(set(kinds)):
        got, wanted = kinds.count(kind), weights.count(f"{kind}.weight")
        if got != wanted:
            raise CheckpointError(
                f"{got} of {wanted} layers {kind} have mask scores",
                where=checkpoint.path,
                wanted="all of them",
                remedy="save the checkpoint again as pytorch_model.bin",
            )


def _mask_linear(tensors: dict[str, Array], module: str, settings: PruningSettings, where: str) -> set[str]:
    """Mask one layer's weight and bias in `tensors`; return the names of what made the mask."""
    weight = tensors[f"{module}.weight"]
    mask: Array = np.ones(weight.shape, np.float32)
    names = [f"{module}{_PART.format(0)}", f"{module}{_PART.format(1)}"]
    if f"{module}{_WHOLE}" in tensors:
        names[0] = f"{module}{_WHOLE}"
    rows, columns = tensors.get(names[0]), tensors.get(names[1])
    if rows is not None or columns is not None:
        rule = settings.attention if _is_attention(module, settings) else settings.dense
        if rule is None:
            raise CheckpointError(
                f"has mask scores, which {SETTINGS_FILE} says are disabled", where=where, remedy=OPTIONS
            )
        if columns is None and rows is not None and rows.ndim == 2:
            mask = mask_from_blocks(rows, weight, rule, where)
        else:
            mask = mask_from_lines(rows, columns, weight, rule, where, block=settings.dense_block)
    ampere, patterns = tensors.get(f"{module}{_AMPERE}"), tensors.get(f"{module}{_PATTERNS}")
    if ampere is not None:
        if settings.ampere == "annealing" and patterns is not None:
            mask = mask * mask_from_patterns(ampere, patterns, weight, where)
        elif settings.ampere in ("threshold", "sigmoied_threshold", "topK"):
            mask = mask * mask_two_of_four(ampere, weight, where)
        else:
            raise CheckpointError(
                f"has 2:4 mask scores, and ampere_pruning_method is {settings.ampere!r} in {SETTINGS_FILE}, "
                "which is not known here",
                where=where,
                remedy="compile the model with nn_pruning first",
            )
    # No negative zeros: a plain checkpoint of the same model should give the same bytes.
    tensors[f"{module}.weight"] = np.where(mask != 0, weight * mask, 0).astype(weight.dtype)
    _mask_bias(tensors, f"{module}.bias", np.asarray(~mask.any(axis=1)), settings.bias, where)
    return {*names, f"{module}{_AMPERE}", f"{module}{_PATTERNS}"} & tensors.keys()


def _mask_bias(tensors: dict[str, Array], name: str, empty: Array, masked: bool | None, where: str) -> None:
    if name not in tensors or not tensors[name][empty].any():
        return
    if masked is None:
        raise CheckpointError(
            f"{int(empty.sum())} rows are masked as a whole, and nothing says whether their biases are too",
            where=where,
            remedy="give `mask_bias`",
        )
    if masked:
        tensors[name] = np.where(empty, 0, tensors[name]).astype(tensors[name].dtype)


def _is_attention(module: str, settings: PruningSettings) -> bool:
    if module.endswith(_ATTENTION_OUTPUT):
        return not settings.attention_output_dense
    return module.endswith(_ATTENTION)


def _fold_norms(checkpoint: Checkpoint, tensors: dict[str, Array], accumulators: list[str]) -> None:
    """Fold the running mean and variance: (x - mean) / sqrt(variance + eps) * weight + bias is a no-norm."""
    norms = [name for name in tensors if re.search(r"(LayerNorm|layer_norm)\.weight$", name)]
    if len(norms) != len(accumulators):
        raise CheckpointError(
            f"{len(accumulators)} of {len(norms)} layer norms were on their way to no-norm",
            where=checkpoint.path,
            wanted="all of them",
            remedy="download the checkpoint again",
        )
    epsilon = checkpoint.config.get("layer_norm_eps", 1e-12)
    for accumulator in accumulators:
        name = accumulator.removesuffix(_ACCUMULATOR)
        sums = tensors[accumulator].astype(np.float64)
        if sums.shape != (3,) or not sums[2] > 0:
            raise CheckpointError(
                f"{accumulator}: holds no running mean", where=checkpoint.path, remedy="train the model on"
            )
        mean, variance = sums[0] / sums[2], sums[1] / sums[2]
        weight = tensors[f"{name}.weight"].astype(np.float64) / np.sqrt(variance + epsilon)
        tensors[f"{name}.bias"] = (tensors[f"{name}.bias"].astype(np.float64) - mean * weight).astype(np.float32)
        tensors[f"{name}.weight"] = weight.astype(np.float32)
