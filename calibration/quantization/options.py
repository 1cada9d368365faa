"""What can be asked of a quantization; no NNCF here."""

import math
from dataclasses import dataclass

from calibration.quantization.recipes import DEFAULT, QuantizationRecipe
from edge_qa.bundle.manifest import Target
from edge_qa.errors import InputError
from edge_qa.evaluation.squad_metric import Metric


@dataclass(frozen=True)
class QuantizationOptions:
    """How a bundle is quantized.

    samples: how many questions calibrate; more than 60 gain nothing (benchmarks/experiments/calibration_samples.py).
    target: the CPUs it will run on; "any" is right everywhere, "vnni" uses the full weight range.
    seed: which questions are drawn. recipe: how it is done, where there is no gate.
    confidence: fit how sure the answers are where the calibration file has answers enough; see `quantize`.
    """

    samples: int = 60
    target: Target = "any"
    seed: int = 0
    recipe: QuantizationRecipe = DEFAULT
    confidence: bool = True


@dataclass(frozen=True)
class AccuracyGate:
    """max_drop: percent points that the metric may lose on the evaluation file."""

    max_drop: float
    metric: Metric = "f1"

    def __post_init__(self) -> None:
        """Raise InputError for a drop that cannot be."""
        if not (math.isfinite(self.max_drop) and self.max_drop >= 0):
            raise InputError(f"got {self.max_drop}", where="max_drop", wanted="percent points, 0 or more")
