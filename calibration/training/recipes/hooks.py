"""What a recipe is: hooks that the loop calls. This one by itself fine-tunes, or distils if there is a teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from calibration.torch_model.model import TorchEncoder, Trace
from calibration.training.batches import Batch
from calibration.training.losses import attention_loss, distillation_loss, hidden_loss, layer_map, span_loss
from calibration.training.options import TrainingRecipe
from converters.checkpoints.checkpoint import Checkpoint
from converters.model.encoder import Encoder
from edge_qa.errors import InputError, missing_extra
from edge_qa.progress import Progress, no_progress

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor
Weights = dict[str, Tensor]
SCORES = "scores."  # what the names of a recipe's own parameters begin with that say what of the model may go
Forward = Callable[..., Tensor]  # (batch, gates=, keep=, trace=) -> logits


Chosen = TypeVar("Chosen", bound=TrainingRecipe)


@dataclass(frozen=True, eq=False)
class Task(Generic[Chosen]):
    """What a recipe starts from.

    source: the checkpoint of `encoder`. data: the file that is learnt from. folder: for files to keep.
    """

    options: Chosen
    source: Checkpoint
    encoder: Encoder
    data: Path
    folder: Path
    device: torch.device
    progress: Progress = no_progress


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the loop.

    student, teacher: forward passes in the compute type; without a teacher, None. teacher_logits: from the
    cache if they are there. weights: the parameters that `student` runs with by default, cast.
    """

    number: int
    total: int
    batch: Batch
    student: Forward
    teacher: Forward | None
    teacher_logits: Callable[[], Tensor] | None

    @property
    def done(self) -> float:
        """The share of the steps that came before."""
        return self.number / self.total

    @property
    def real(self) -> Tensor:
        """Which tokens are no padding, (batch, tokens)."""
        places = torch.arange(self.batch.ids.shape[1], device=self.batch.ids.device)
        return places < self.batch.lengths[:, None]

    def random(self, seed: int) -> np.random.Generator:
        """Numbers that hang on the seed and the step alone, so that a resumed run draws the same."""
        return np.random.default_rng((seed, self.number))


class RecipeHooks(Generic[Chosen]):
    """distil; the others override what differs."""

    def __init__(self, task: Task[Chosen]) -> None:
        self.task, self.options = task, task.options
        self.student: TorchEncoder
        self.projections: torch.nn.ModuleList | None = None

    def start(self, structure: dict[str, Any] | None) -> TorchEncoder:
        """Make the model to train. structure: what `structure` gave, when a run is resumed."""
        self.student = TorchEncoder(self.task.encoder, self.task.source.path)
        return self.student

    def structure(self) -> dict[str, Any]:
        """What `start` needs to make a model of the same shapes again, in plain values and tensors."""
        return {}

    def meet(self, teacher: TorchEncoder | None) -> None:
        """Get to know the teacher, after `start`."""
        options = self.options
        if teacher is None:
            return
        heads = [[layer.heads for layer in model.layers] for model in (self.student, teacher)]
        pairs = zip(heads[0], layer_map(*map(len, heads))[1:], strict=True)
        if options.attention_weight and not any(own and own == heads[1][place - 1] for own, place in pairs):
            raise InputError(
                f"no layer has as many heads as the teacher's ({heads[0]}, {heads[1]}), so there is nothing to compare",
                where="attention_weight",
                remedy="use `hidden_weight` alone",
            )
        widths = self.student.template.hidden, teacher.template.hidden
        if options.hidden_weight and widths[0] != widths[1]:
            # Seeded: what a run starts from must not hang on what ran before.
            torch.manual_seed(options.seed)
            outputs = len(self.student.layers) + 1
            self.projections = torch.nn.ModuleList(torch.nn.Linear(*widths) for _ in range(outputs))
            self.projections.to(self.task.device)

    def extra(self) -> dict[str, torch.nn.Parameter]:
        """Parameters that learn beside the model's own, by name."""
        if self.projections is None:
            return {}
        return {f"projections.{name}": value for name, value in self.projections.named_parameters()}

    def frozen(self) -> set[str]:
        """Names of the model's parameters that do not learn."""
        return set() if self.options.train_words else {"embeddings.word"}

    def rate(self, name: str) -> float:
        """The highest learning rate of a parameter."""
        return self.options.rate

    def weights(self, own: Weights) -> Weights:
        """The weights that the model runs with in this step, from its parameters; differentiable."""
        return own

    def before_step(self, number: int, total: int) -> None:
        """Called before the loss of each step is computed."""

    def loss(self, step: Step) -> Tensor:
        """The loss of one batch, a scalar."""
        return self.answers(step)

    def after_step(self, number: int, total: int) -> None:
        """Called after the parameters have changed; number: how many steps are done."""

    def encoder(self) -> Encoder:
        """The model as it would be written now."""
        return self.student.encoder()

    def state(self) -> dict[str, Any]:
        """What hangs on the steps that were done, besides parameters: plain values and tensors."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""

    def summary(self) -> list[str]:
        """What the recipe did, in a line or two, for the model card."""
        return []

    def answers(self, step: Step, **changes: Any) -> Tensor:
        """The loss of the answers, and of the teacher's where there is one; changes: of the student's pass."""
        return self.answers_and_logits(step, **changes)[0]

    def answers_and_logits(self, step: Step, **changes: Any) -> tuple[Tensor, Tensor]:
        """The same, and the student's logits."""
        options, batch = self.options, step.batch
        traced = bool(options.hidden_weight or options.attention_weight)
        mine, theirs = (Trace(), Trace()) if traced else (None, None)
        logits = step.student(batch, trace=mine, **changes)
        if step.teacher is None or step.teacher_logits is None:
            return span_loss(logits, batch.targets), logits
        wanted = step.teacher(batch, trace=theirs) if traced else step.teacher_logits()
        share = options.teacher_share
        total = share * distillation_loss(logits, wanted, options.temperature)
        if share < 1:
            total = total + (1 - share) * span_loss(logits, batch.targets)
        if mine is not None and theirs is not None:
            if options.hidden_weight:
                projections = None if self.projections is None else list(self.projections)
                total = total + options.hidden_weight * hidden_loss(mine.hidden, theirs.hidden, step.real, projections)
            if options.attention_weight:
                total = total + options.attention_weight * attention_loss(mine, theirs, step.real)
        return total, logits
