"""What `sparsify` did to a checkpoint: plain values, ready to become JSON, and the paragraph for its model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from calibration.sparsity.block_pruning import Block
from converters.inspection.zero_patterns import ONE_BY_FOUR, TILE
from converters.model.compaction import CompactionReport

Pattern = Literal["unstructured", "1x4", "32x32", "heads", "ffn"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
BLOCKS: dict[str, Block] = {"unstructured": (1, 1), "1x4": ONE_BY_FOUR, "32x32": (TILE, TILE)}

_REMOVED = {
    "unstructured": "of the weights of every encoder matrix were set to zero, one by one",
    "1x4": "of the weights of every encoder matrix were set to zero, in aligned groups of 4 outputs x 1 input",
    "32x32": "of the weights of every encoder matrix were set to zero, in aligned blocks of 32 x 32",
    "heads": "of all attention heads were removed",
    "ffn": "of all feed-forward neurons were removed",
}


@dataclass(frozen=True)
class CalibrationRecord:
    """What chose the weights that went; samples: windows, one of each question that was drawn."""

    dataset: str
    dataset_sha256: str
    samples: int
    seed: int


@dataclass(frozen=True)
class TensorSparsity:
    """One matrix of the encoder, by its name in the graph: shape (out, in) and share of zeros, 0..1.

    outside: how many outputs and inputs at the end make no whole block, and lost nothing.
    """

    name: str
    shape_before: tuple[int, int]
    shape_after: tuple[int, int]
    sparsity_before: float
    sparsity_after: float
    outside: tuple[int, int]


@dataclass(frozen=True)
class Sparsification:
    """A sparse checkpoint that was written.

    ratio: the share that was reached: of the encoder's weights, of its heads, or of its neurons.
    refitted: whether what is left was refitted to what the original has.
    removed_heads: by layer, their original numbers, or their places where config.json does not tell.
    structure: heads, neurons and parameters before and after.
    """

    path: Path
    pattern: Pattern
    ratio: float
    calibration: CalibrationRecord | None
    refitted: bool
    tensors: tuple[TensorSparsity, ...]
    removed_heads: tuple[tuple[int, ...], ...]
    structure: CompactionReport


def describe_pruning(
    pattern: Pattern, ratio: float, calibration: CalibrationRecord | None, source: str, refitted: bool
) -> str:
    """Return the section that a model card gets. source: sha256 of the checkpoint that was pruned."""
    if calibration is None:
        chosen, how = "of the least |w|", "No data was used."
    else:
        windows = (
            f"over {calibration.samples} windows of {calibration.dataset} (sha256 {calibration.dataset_sha256}), "
            f"drawn with seed {calibration.seed}"
        )
        if refitted:
            chosen = "that the outputs of their matrix needed least, one after the other"
            how = (
                "What is left was refitted by least squares to what the original model has there, layer after layer, "
                f"{windows} (Frantar and Alistarh 2022, arXiv 2208.11580)."
            )
        else:
            chosen = "of the least |w| * ||x||"
            how = (
                f"||x|| is the L2 norm of what a weight is multiplied with, {windows} "
                "(Sun et al. 2023, arXiv 2306.11695)."
            )
    return (
        f"## Pruned: {pattern}, {ratio:.2%}\n\n"
        f"`edge-qa sparsify --pattern {pattern}{' --refit' if refitted else ''}`: {ratio:.2%} {_REMOVED[pattern]}, "
        f"those {chosen}. {how} "
        "Nothing was trained afterwards: scores that this card gives above are those of the model before, "
        f"the checkpoint of sha256 {source} (configuration and weights).\n"
    )
