"""What a training run made, as a value, as JSON, and as a paragraph of the model card."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibration.training.curve import Point
from calibration.training.options import TrainingRecipe
from edge_qa.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class Training:
    """What a run made. seconds: of this call. curve: see `calibration/training/curve.py`.

    data: the name of the file. options: as they were asked for. teacher: the sha256 of its checkpoint.
    """

    path: Path
    recipe: str
    steps: int
    windows: int
    device: str
    seconds: float
    curve: tuple[Point, ...]
    summary: tuple[str, ...]
    evaluation: Evaluation | None
    data: str
    options: TrainingRecipe
    teacher: str | None

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "path": str(self.path),
            "recipe": self.recipe,
            "data": self.data,
            "teacher": self.teacher,
            "options": asdict(self.options),
            "steps": self.steps,
            "windows": self.windows,
            "device": self.device,
            "seconds": round(self.seconds, 1),
            "curve": [asdict(point) for point in self.curve],
            "summary": list(self.summary),
            "evaluation": None if self.evaluation is None else self.evaluation.summary(),
        }


def describe(training: Training, source: str) -> str:
    """Return the model card's paragraph: the recipe, what it did, and the curve; source: its checkpoint's sha256."""
    told = ", ".join(f"{name} {value}" for name, value in training.options.told().items())
    lines = [f"## Trained with edge-qa train ({training.recipe})", ""]
    lines += [f"From a checkpoint with sha256 {source}, on {training.data}: {told}; {training.steps} steps."]
    if training.teacher is not None:
        lines += [f"Teacher: sha256 {training.teacher}."]
    lines += training.summary
    if training.evaluation is not None:
        scores, best = training.evaluation.scores, training.evaluation.best_threshold
        lines += [
            f"Scored on {scores.questions} questions of {training.evaluation.dataset}: exact match "
            f"{scores.exact_match:.2f}, F1 {scores.f1:.2f}"
            + (f"; F1 {best.score:.2f} with the no-answer threshold {best.threshold:.3g}." if best else ".")
        ]
    lines += ["", "| step | loss | F1 |", "|---|---|---|"]
    lines += [
        f"| {point.step} | {point.loss:.4f} | {'' if point.f1 is None else f'{point.f1:.2f}'} |"
        for point in training.curve
    ]
    return "\n".join(lines) + "\n"
