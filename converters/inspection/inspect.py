"""Look at the weights of a checkpoint or of a bundle."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.inspection.plain_words import percent
from converters.inspection.recognise import recognise
from converters.inspection.recognition import Recognition, TensorReport
from converters.inspection.weight_density import nonzero_masks
from converters.inspection.zero_patterns import pattern_of
from converters.ir.bundle_encoder import read_back
from converters.model.encoder import Array
from converters.model.matrices import matrices
from converters.pruned_checkpoints.fine_pruning import apply_pruning
from converters.pruned_checkpoints.pruning_settings import pruning_settings
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was seen. weights: every matrix that is multiplied, by its name in the graph, (out, in).

    recognition: None for a model whose IR was not built by `convert`, or is quantized; then only
    the zeros of its matrices are known, and `weights` says no more than where they are.
    """

    name: str
    source: str
    quantized: bool
    recognition: Recognition | None
    tensors: tuple[TensorReport, ...]
    weights: Mapping[str, Array]


def inspect_checkpoint(
    path: str | os.PathLike[str],
    *,
    mask_method: str | None = None,
    mask_threshold: float | None = None,
    mask_bias: bool | None = None,
) -> Inspection:
    """Look at a checkpoint folder. Raises CheckpointError if it cannot be read.

    mask_method, mask_threshold, mask_bias: how the mask scores of a raw training checkpoint become
    masks, as for `convert`.
    """
    checkpoint = read_checkpoint(path)
    settings = pruning_settings(checkpoint, mask_method=mask_method, mask_threshold=mask_threshold, mask_bias=mask_bias)
    encoder = read_encoder(checkpoint if settings is None else apply_pruning(checkpoint, settings))
    found = recognise(encoder, checkpoint.config)
    return Inspection(_name(Path(path)), "checkpoint", False, found, found.tensors, dict(matrices(encoder)))


def inspect_bundle(bundle: Bundle) -> Inspection:
    """Look at a bundle: in full if `convert` wrote it with FP16 weights, else at the zeros of its matrices."""
    source = f"{bundle.manifest.precision.upper()} bundle"
    quantized = bundle.manifest.precision == "int8"
    try:
        encoder = read_back(bundle)
    except BundleError:
        masks = dict(nonzero_masks(bundle))
        tensors = tuple(TensorReport(name, False, pattern_of(mask)) for name, mask in masks.items())
        return Inspection(_name(bundle.path), source, quantized, None, tensors, masks)
    found = recognise(encoder, {})
    return Inspection(_name(bundle.path), source, quantized, found, found.tensors, dict(matrices(encoder)))


def zeros_only(seen: Inspection) -> tuple[str, ...]:
    """Say what is known of a model whose zeros are all that was looked at."""
    zeros, weights = sum(tensor.zeros.zeros for tensor in seen.tensors), sum(w.size for w in seen.weights.values())
    total = f"{zeros:,} of {weights:,} matrix weights are zero ({percent(zeros / weights if weights else 0)})."
    if seen.quantized:
        why = "Rounding to 8 bits makes zeros of its own: compare with the FP16 bundle that it was made from."
    else:
        why = "Its graph was not built by edge-qa convert, so heads and neurons are not told apart."
    return total, why


def _name(path: Path) -> str:
    return path.resolve().name or str(path)
