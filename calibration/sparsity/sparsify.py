"""Checkpoint -> sparse checkpoint: the least important weights, heads or neurons go, in one shot.

    unstructured, 1x4, 32x32    a share of the weights of every encoder Linear becomes zero
    heads, ffn                  a share of all heads, or of all neurons, is cut out of the model

Embeddings and the two rows of qa_outputs stay as they are. Nothing is trained afterwards.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from calibration.data.samples import Inputs, draw_samples
from calibration.sparsity.block_pruning import block_mask, blocks_to_prune, whole_blocks
from calibration.sparsity.input_norms import input_norms
from calibration.sparsity.refitting import prune_and_refit
from calibration.sparsity.sparsification import (
    BLOCKS,
    PATTERNS,
    CalibrationRecord,
    Pattern,
    Sparsification,
    TensorSparsity,
    describe_pruning,
)
from calibration.sparsity.structure_pruning import Norms, prune_heads, prune_neurons
from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.families.formats import CHECKPOINT_FORMATS
from converters.inspection.zero_patterns import Mask, is_nonzero
from converters.model.compaction import report_compaction
from converters.model.encoder import Array, Encoder, map_arrays
from converters.model.matrices import layer_matrices
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import CheckpointError, InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.files import check_destination, scratch_folder
from edge_qa.progress import Progress, no_progress

Weights = dict[str, Array]


def sparsify(
    checkpoint: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    pattern: Pattern,
    ratio: float,
    calibration: str | os.PathLike[str] | None = None,
    refit: bool = False,
    samples: int = 128,
    seed: int = 0,
    least_heads: int = 1,
    force: bool = False,
    progress: Progress = no_progress,
) -> Sparsification:
    """Write a checkpoint without its least important weights, heads or neurons; the source is left alone.

    pattern: "1x4" blocks are aligned groups of 4 outputs x 1 input. Blocks, and the weights of
    "unstructured", are chosen in each matrix for itself, heads and neurons over the whole model.
    ratio: the share that goes, between 0 and 1, exact to one block, head or neuron.
    calibration: questions with contexts; importance is then |w| * ||x||, where x is what a weight
    meets on `samples` windows of them, drawn with `seed` (Sun et al. 2023, arXiv 2306.11695).
    Without it importance is |w|, and "unstructured" is left to NNCF, which needs the extras calibrate
    and torch and removes with the last weight all others that are exactly as large.
    refit: the blocks go that the outputs of their matrix need least on these windows, and what is left is
    refitted to what the whole model has there (calibration/sparsity/refitting.py): minutes instead of
    seconds, of large models hours, and far less is lost. What was zero stays zero. Not for heads and ffn.
    least_heads: each layer keeps this many, its best.
    progress: called with (done, samples) while the norms of the inputs are measured, or with
    (done, all) for the groups of outputs that are refitted.
    Raises InputError for options that do not fit the model, CheckpointError for a checkpoint that
    cannot be read, pruned or written back.
    """
    target = Path(os.path.abspath(destination))
    read = [checkpoint, *([] if calibration is None else [calibration])]
    check_destination(target, force=force, sources=read)
    if pattern not in PATTERNS:
        raise InputError(f"got {pattern!r}", where="pattern", wanted=f"one of {', '.join(PATTERNS)}")
    if not 0 < ratio < 1:
        raise InputError(f"got {ratio:g}", where="ratio", wanted="a share between 0 and 1, such as 0.8")
    if refit and (calibration is None or pattern not in BLOCKS):
        wanted = "questions, in calibration" if calibration is None else f"a pattern of {', '.join(BLOCKS)}"
        raise InputError(f"got pattern {pattern!r}, calibration {calibration}", where="refit", wanted=wanted)
    data = None if calibration is None else read_dataset(calibration)
    source = read_checkpoint(checkpoint)
    encoder = read_encoder(source)
    if encoder.family not in CHECKPOINT_FORMATS:
        raise CheckpointError(
            f"a checkpoint of family {encoder.family!r} can be read, but not written back",
            where=source.path,
            remedy=f"supported are {', '.join(CHECKPOINT_FORMATS)}",
        )
    weights = _encoder_weights(encoder)
    if pattern in BLOCKS:
        _check_blocks(source, weights, pattern, ratio)
    windows: list[Inputs] = []
    record, norms = None, {}
    if data is not None:
        bundle, windows = _draw(source, data, samples, seed, target)
        record = CalibrationRecord(data.name, data.sha256, len(windows), seed)
        norms = {} if refit else input_norms(bundle, windows, progress=progress)
    if refit:
        small, masks = prune_and_refit(encoder, windows, BLOCKS[pattern], ratio, progress=progress)
        pruned = _Pruned(small, _share_removed(masks))
    elif pattern == "heads":
        pruned = _without_heads(source, encoder, ratio, norms, least_heads)
    elif pattern == "ffn":
        small, masks = prune_neurons(encoder, ratio, norms)
        pruned = _Pruned(small, _share_removed(masks))
    else:
        pruned = _without_weights(source, encoder, weights, pattern, ratio, norms)
    if not pruned.ratio:
        raise InputError(_nothing(ratio))
    told = describe_pruning(pattern, pruned.ratio, record, source.sha256, refit)
    card = f"{source.card or f'# {target.name}'}\n\n{told}"
    write_checkpoint(pruned.encoder, target, source=replace(source, card=card), dropped_heads=pruned.known, force=force)
    return Sparsification(
        path=target,
        pattern=pattern,
        ratio=pruned.ratio,
        calibration=record,
        refitted=refit,
        tensors=tuple(_compare(weights, _encoder_weights(pruned.encoder), pattern)),
        removed_heads=tuple(pruned.removed_heads.get(index, ()) for index in range(len(encoder.layers))),
        structure=report_compaction(encoder, pruned.encoder),
    )


@dataclass(frozen=True, eq=False)
class _Pruned:
    """What is left, and the share that went.

    removed_heads: by layer, as a Sparsification has them. known: those layers of it whose numbers are original.
    """

    encoder: Encoder
    ratio: float
    removed_heads: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    known: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def _encoder_weights(encoder: Encoder) -> Weights:
    """Every matrix of the layers, empty ones too, by its name in the graph."""
    return {
        f"encoder.layer.{index}.{name}": weight
        for index, layer in enumerate(encoder.layers)
        for name, weight in layer_matrices(layer)
    }


def _check_blocks(source: Checkpoint, weights: Weights, pattern: Pattern, ratio: float) -> None:
    """Raise if a matrix is too small for the pattern, or the ratio too large for its whole blocks, or for none."""
    block = BLOCKS[pattern]
    if not any(blocks_to_prune(weight.shape, block, ratio) for weight in weights.values()):
        raise InputError(_nothing(ratio))
    for name, weight in weights.items():
        rows, columns = weight.shape
        whole = whole_blocks(weight.shape, block)
        if weight.size and not whole:
            raise CheckpointError(
                f"{name} is {rows}x{columns}, where no {pattern} block fits",
                where=source.path,
                remedy="prune it in another pattern",
            )
        if blocks_to_prune(weight.shape, block, ratio) > whole:
            raise InputError(
                f"{name} of {source.path} is {rows}x{columns}, of which whole {pattern} blocks are "
                f"{whole * block[0] * block[1] / weight.size:.1%}",
                where=f"ratio {ratio:g}",
                remedy="lower the ratio, or prune in another pattern",
            )


def _nothing(ratio: float) -> str:
    return f"ratio {ratio:g}: too small to remove anything of this model; raise it"


def _draw(source: Checkpoint, data: Dataset, samples: int, seed: int, target: Path) -> tuple[Bundle, list[Inputs]]:
    """Return the checkpoint as a bundle, which lies beside the target for a moment, and windows of the data."""
    with scratch_folder(target) as folder:
        bundle = Bundle.load(convert(source.path, folder / "bundle", compact=None).path)
    return bundle, draw_samples(QuestionAnswerer(bundle), data.examples, samples, seed=seed, where=data.where)


def _without_weights(
    source: Checkpoint, encoder: Encoder, weights: Weights, pattern: Pattern, ratio: float, norms: Norms
) -> _Pruned:
    if pattern == "unstructured" and not norms:
        # Imported here, because it brings torch.
        from calibration.sparsity.unstructured import magnitude_masks

        masks = magnitude_masks(source, encoder.family, weights, ratio)
    else:
        masks = {
            name: block_mask(weight, BLOCKS[pattern], ratio, norms.get(name))
            for name, weight in weights.items()
            if weight.size
        }
    by_array = {id(weights[name]): mask for name, mask in masks.items()}

    def zeroed(array: Array) -> Array:
        mask = by_array.get(id(array))
        return array if mask is None else np.where(mask, array, array.dtype.type(0))

    return _Pruned(map_arrays(encoder, zeroed), _share_removed(masks.values()))


def _without_heads(source: Checkpoint, encoder: Encoder, ratio: float, norms: Norms, least: int) -> _Pruned:
    small, masks = prune_heads(encoder, ratio, norms, least=least)
    total = int(source.config[CHECKPOINT_FORMATS[encoder.family].heads])
    gone = source.config.get("pruned_heads") or {}
    removed, known = {}, {}
    for index, stays in enumerate(masks):
        places = np.flatnonzero(~stays).tolist()
        numbers = [number for number in range(total) if number not in gone.get(str(index), ())]
        if len(numbers) == len(stays):
            known[index] = tuple(numbers[place] for place in places)
        removed[index] = known.get(index, tuple(places))
    return _Pruned(small, _share_removed(masks), removed, known)


def _share_removed(masks: Iterable[Mask]) -> float:
    gone = total = 0
    for mask in masks:
        gone += int(np.count_nonzero(~mask))
        total += mask.size
    return gone / total


def _compare(before: Weights, after: Weights, pattern: Pattern) -> Iterator[TensorSparsity]:
    block = BLOCKS.get(pattern, (1, 1))
    for name, weight in before.items():
        rows, columns = (size % step for size, step in zip(weight.shape, block, strict=True))
        yield TensorSparsity(
            name, _shape(weight), _shape(after[name]), _sparsity(weight), _sparsity(after[name]), (rows, columns)
        )


def _shape(weight: Array) -> tuple[int, int]:
    return int(weight.shape[0]), int(weight.shape[1])


def _sparsity(weight: Array) -> float:
    return 1 - np.count_nonzero(is_nonzero(weight)) / weight.size if weight.size else 0.0
