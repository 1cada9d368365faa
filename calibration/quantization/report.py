"""What a quantization did: the frozen result that the command line, --json and the page show."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from calibration.quantization.product_errors import ProductError
from calibration.quantization.recipes import DEFAULT, QuantizationRecipe
from calibration.statistics.bootstrap import Drop
from edge_qa.bundle.manifest import Manifest
from edge_qa.evaluation.evaluate import Evaluation
from edge_qa.evaluation.squad_metric import Metric

METRIC_NAMES: dict[Metric, str] = {"f1": "F1", "exact_match": "EM"}
Verdict = Literal["passed", "failed", "not finite", "ruled out", "not judged"]


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried under a gate.

    ranking: the drop on the ranking questions, which are a part of the calibration file.
    logit_error: root mean square change of the logits there, relative to their own.
    latency_ms, speed: median of a question there, and how many times as fast as the float model it is, question by
    question, both of which took turns.
    evaluation: the drop on the evaluation file, if it was judged there.
    verdict: "ruled out" where the ranking questions alone show a drop beyond the limit.
    """

    recipe: QuantizationRecipe
    logit_error: float
    ranking: Drop | None = None
    latency_ms: float | None = None
    speed: float | None = None
    evaluation: Drop | None = None
    verdict: Verdict = "not judged"


@dataclass(frozen=True)
class GateResult:
    """A gate that was met: the limit in percent points of the metric, the drop, and every recipe that was tried.

    ranking_questions: of the calibration file; 0 where one recipe was judged alone.
    labelled: the calibration file has answers; without, ranking compares with the float model's own answers.
    conclusive: whether the whole interval of the drop is within the limit, not only the drop itself.
    notes: what makes the drop worth less than it looks.
    """

    metric: Metric
    max_drop: float
    drop: Drop
    ranking_questions: int
    labelled: bool
    trials: tuple[Trial, ...]
    conclusive: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantization:
    """An INT8 bundle that was written.

    before, after: the float and the INT8 bundle on the evaluation file, if there was one.
    gate: how the limit was met, if there was one.
    products: what each quantized product does to the logits alone, worst first; empty if not asked for.
    notes: what the user should know about INT8's speed on this target, or about the calibration.
    source_bytes, written_bytes: all files of the float bundle and of the INT8 one.
    engine: what it was quantized for; for "native" the bundle holds its FP16 model, too.
    """

    path: Path
    manifest: Manifest
    samples: int
    before: Evaluation | None
    after: Evaluation | None
    recipe: QuantizationRecipe = DEFAULT
    gate: GateResult | None = None
    products: tuple[ProductError, ...] = ()
    notes: tuple[str, ...] = ()
    source_name: str = ""
    source_bytes: int = 0
    written_bytes: int = 0
    engine: Literal["openvino", "native"] = "openvino"

    def as_json(self) -> dict[str, Any]:
        """Everything but the predictions, as JSON values."""
        values = asdict(self)
        values["bundle"] = str(values.pop("path"))
        for side in ("before", "after"):
            evaluation: Evaluation | None = getattr(self, side)
            values[side] = None if evaluation is None else evaluation.summary()
        for trial in values["gate"]["trials"] if self.gate else ():
            if not math.isfinite(trial["logit_error"]):
                trial["logit_error"] = None  # JSON has no infinity
        return values


def gate_options(gate: GateResult | None) -> dict[str, str]:
    """A gate that was met, as a bundle's lineage keeps it."""
    if gate is None:
        return {}
    interval = f"{gate.drop.low:.3f} to {gate.drop.high:.3f}"
    return {
        "metric": gate.metric,
        "max_drop": f"{gate.max_drop:g}",
        "drop": f"{gate.drop.points:.3f}",
        "drop_interval_95": interval,
    }


def size_of(manifest: Manifest) -> int:
    """The size of a bundle's files."""
    return sum(record.bytes for record in manifest.files.values())
