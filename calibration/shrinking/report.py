"""What `shrink` did to a checkpoint: plain values, ready to become JSON, and the paragraph for its model card."""

from dataclasses import dataclass
from pathlib import Path

from calibration.shrinking.latency_model import LatencyPrecision
from calibration.shrinking.reconstruction import Refit
from calibration.shrinking.shrinker import Method
from calibration.shrinking.structure_costs import StructureCosts
from calibration.sparsity.sparsification import CalibrationRecord
from calibration.statistics.bootstrap import Drop
from converters.model.compaction import CompactionReport
from edge_qa.evaluation.segmentation import Segmentation
from edge_qa.evaluation.squad_metric import Scores


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one input of `tokens` tokens, batch 1; both models took turns.

    predicted: how many times faster the cost table says that the shrunk model is.
    """

    tokens: int
    precision: LatencyPrecision
    dense_ms: float
    shrunk_ms: float
    predicted: float

    @property
    def measured(self) -> float:
        """How many times faster the shrunk model was."""
        return self.dense_ms / self.shrunk_ms


@dataclass(frozen=True)
class Trial:
    """One speed-up that was tried, on so many questions: F1 of the model before and of the shrunk one, percent."""

    speedup: float
    questions: int
    f1_before: float
    f1_after: float

    @property
    def drop(self) -> float:
        """What was lost, in points of F1."""
        return self.f1_before - self.f1_after


@dataclass(frozen=True)
class EvaluationRecord:
    """What a search under `max_drop` was judged by.

    segmentation: how answers are compared. limit: so many of its questions, None for all.
    """

    dataset: str
    dataset_sha256: str
    segmentation: Segmentation
    limit: int | None
    max_drop: float


@dataclass(frozen=True)
class Shrinking:
    """A shrunk checkpoint that was written.

    speedup: what was asked for, or what the search found. costs: the table that the shape was chosen by.
    removed_heads: by layer, their original numbers, or their places where config.json does not tell.
    structure: heads, neurons and parameters before and after. refits: of "full", one for each output matrix.
    evaluation, trials, before, after, drop: of a search under `max_drop`; the last three are on the whole evaluation.
    notes: what makes that drop worth less than it looks.
    """

    path: Path
    method: Method
    speedup: float
    timing: Timing
    costs: StructureCosts
    calibration: CalibrationRecord
    removed_heads: tuple[tuple[int, ...], ...]
    structure: CompactionReport
    refits: tuple[Refit, ...]
    evaluation: EvaluationRecord | None = None
    trials: tuple[Trial, ...] = ()
    before: Scores | None = None
    after: Scores | None = None
    drop: Drop | None = None
    notes: tuple[str, ...] = ()


_HOW = {
    "magnitude": "those whose weights have the smallest squares",
    "fisher": "those of the least Fisher information of their masks (Kwon et al. 2022, arXiv 2204.09656)",
    "full": "those of the least Fisher information of their masks, rearranged inside each layer (Kwon et al. 2022, "
    "arXiv 2204.09656); the output matrices that are left were refitted to the residual stream of the model before "
    "by least squares",
}


def describe_shrinking(
    method: Method,
    speedup: float,
    precision: LatencyPrecision,
    structure: CompactionReport,
    calibration: CalibrationRecord,
    source: str,
) -> str:
    """Return the section that a model card gets. source: sha256 of the checkpoint that was shrunk."""
    heads = ", ".join(map(str, structure.heads_after))
    widths = ", ".join(str(sum(layer)) for layer in structure.ffn_widths_after)
    return (
        f"## Shrunk: {speedup:.2f}x\n\n"
        f"`edge-qa shrink --method {method}`: attention heads and feed-forward neurons were removed, {_HOW[method]}, "
        f"so many of each layer that latency measured on one CPU, in {precision}, should fall {speedup:.2f} times. "
        f"Heads left by layer: {heads}. Neurons left: {widths}. Calibrated on {calibration.samples} windows of "
        f"{calibration.dataset} (sha256 {calibration.dataset_sha256}), drawn with seed {calibration.seed}. "
        "Nothing was trained afterwards: scores that this card gives above are those of the model before, the "
        f"checkpoint of sha256 {source} (configuration and weights).\n"
    )
