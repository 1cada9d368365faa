"""The one loop of all recipes: AdamW, linear warm-up and decay, bfloat16 products over float32 weights, resumable."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibration.torch_model.model import TorchEncoder
from calibration.training.batches import Batch, Batches
from calibration.training.curve import Meter, Point, Report
from calibration.training.options import TrainingRecipe
from calibration.training.recipes.hooks import SCORES, Forward, RecipeHooks, Step
from calibration.training.settings import release_memory
from calibration.training.state import State, load_state, save_state
from calibration.training.stopping import StopRequests, stop_requests
from calibration.training.teacher import TeacherLogits
from converters.model.encoder import Encoder
from edge_qa.errors import CalibrationError, missing_extra

try:
    import torch
    from torch.func import functional_call
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

_SAVE_SECONDS = 180.0
_REPORT_STEPS = 20
_CURVE_STEPS = 500


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the loop runs on.

    total: steps. compute: the type of products. run: the name that the state is kept under, which tells
    the same run from others. score: encoder -> exact match, where there is one, and F1; None to measure nothing.
    """

    recipe: RecipeHooks[Any]
    batches: Batches
    options: TrainingRecipe
    total: int
    device: torch.device
    compute: torch.dtype
    state: Path
    run: str
    teacher: TorchEncoder | None = None
    teacher_file: Path | None = None
    score: Callable[[Encoder], tuple[float | None, float]] | None = None
    report: Callable[[Report], None] = lambda report: None


def train_model(lesson: Lesson, *, resume: bool = False) -> tuple[Encoder, list[Point], float]:
    """Run the loop to its end and return the model, the curve, and the seconds that it took before it was stopped.

    resume: go on from the state, if there is one; the result is that of a run that was never stopped.
    At SIGINT or SIGTERM the step is finished and the state saved before KeyboardInterrupt is raised; an
    evaluation is left at once, and done anew when the run goes on.
    Raises CalibrationError if the loss is no number any more, InputError if the state is of another run.
    """
    return _Loop(lesson, resume).run()


class _Loop:
    def __init__(self, lesson: Lesson, resume: bool) -> None:
        self.lesson, self.recipe, self.options = lesson, lesson.recipe, lesson.options
        stored = load_state(lesson.state, lesson.run) if resume and lesson.state.is_file() else None
        self.student = self.recipe.start(None if stored is None else stored["structure"]).to(lesson.device)
        self.recipe.meet(lesson.teacher)
        names = self.recipe.frozen()
        for name, parameter in self.student.named_parameters():
            parameter.requires_grad_(name not in names)
        self.parameters = {n: p for n, p in self.student.named_parameters() if p.requires_grad} | self.recipe.extra()
        self.optimizer = self._optimizer()
        self.done, self.curve = 0, list[Point]()
        self.begun, self.before = time.monotonic(), 0.0  # seconds that the run took until it was stopped
        if stored is not None:
            self._restore(stored)
        self.fixed: dict[torch.Tensor, torch.Tensor] = {}
        for parameter in self.student.parameters():
            if not parameter.requires_grad:
                self.fixed[parameter] = parameter.detach().to(lesson.compute)
        self.teacher = self._teacher()
        self.meter = Meter(self.done, lesson.device)
        if stored is not None:
            self.meter.restore(stored["meter"])

    def run(self) -> tuple[Encoder, list[Point], float]:
        total, saved = self.lesson.total, time.monotonic()
        with stop_requests() as requests:
            if self._scores_now() and self.curve and self.curve[-1].step == self.done and self.curve[-1].f1 is None:
                self._score(requests)
            self.meter.resume()
            while self.done < total:
                batch = self.lesson.batches[self.done]
                self.meter.add(self._step(batch), batch.tokens)
                scores = self._scores_now()
                told = scores or self.done % _REPORT_STEPS == 0 or self.done == total
                if told:
                    self._tell()
                # After a report, which has looked at the loss: a state with no numbers in it helps nobody.
                if requests.asked or scores or (told and time.monotonic() - saved > _SAVE_SECONDS):
                    self._save()
                    saved = time.monotonic()
                if requests.asked:
                    raise KeyboardInterrupt
                if scores:
                    self._score(requests)
                if told:
                    self.meter.resume()
        self._save()
        return self.recipe.encoder(), self.curve, self.before

    def _scores_now(self) -> bool:
        # Evenly spread, the last time at the end, and as many times as asked where there are as many steps.
        times, total = self.options.evaluations, self.lesson.total
        return self.lesson.score is not None and self.done * times // total > (self.done - 1) * times // total

    def _tell(self) -> None:
        """Report where the run stands, and keep what belongs into the curve."""
        lesson = self.lesson
        point, seconds = self.meter.read(self.done)
        if not math.isfinite(point.loss):
            raise CalibrationError(
                f"the loss is {point.loss}, no number",
                where=f"step {self.done}",
                remedy="lower the learning rate, or compute in f32",
            )
        lesson.report(Report(point, lesson.total, seconds * (lesson.total - self.done)))
        if self._scores_now() or self.done == lesson.total or self.done % _CURVE_STEPS == 0:
            self.curve.append(point)
        release_memory()

    def _score(self, requests: StopRequests) -> None:
        """Score the model and write it into the last point; the state was saved just before."""
        if self.lesson.score is None:
            return
        with requests.let_through():
            exact, f1 = self.lesson.score(self.recipe.encoder())
        self.curve[-1] = replace(self.curve[-1], exact_match=exact, f1=f1)

    def _step(self, batch: Batch) -> torch.Tensor:
        """Learn from one batch and return its loss."""
        number, total, options = self.done, self.lesson.total, self.options
        rise = max(1, round(options.warmup * total))
        share = min((number + 1) / rise, (total - number) / max(1, total - rise))
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["rate"]
        self.recipe.before_step(number, total)
        forward = self._forward(self.student, self.recipe.weights(dict(self.student.named_parameters())))
        teacher, cached = self.teacher
        step = Step(number, total, batch, forward, teacher, None if cached is None else (lambda: cached(batch)))
        loss = self.recipe.loss(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        self.recipe.after_step(self.done, total)
        return loss.detach()

    def _forward(self, model: TorchEncoder, weights: dict[str, torch.Tensor]) -> Forward:
        # Cast once a step: faster than autocast, which casts back and forth around every norm.
        compute = self.lesson.compute
        cast = {
            name: self.fixed[value] if value in self.fixed else value.to(compute) for name, value in weights.items()
        }

        def forward(batch: Batch, **changes: Any) -> torch.Tensor:
            logits: torch.Tensor = functional_call(
                model, cast, (batch.ids, batch.types, batch.lengths), changes, strict=True
            )
            return logits

        return forward

    def _teacher(self) -> tuple[Forward | None, Callable[[Batch], torch.Tensor] | None]:
        lesson = self.lesson
        if lesson.teacher is None:
            return None, None
        model = lesson.teacher.to(lesson.device).requires_grad_(False)
        inner = self._forward(model, dict(model.named_parameters()))

        def forward(batch: Batch, **changes: Any) -> torch.Tensor:
            with torch.no_grad():
                return inner(batch, **changes)

        if lesson.teacher_file is None:
            return forward, forward
        return forward, TeacherLogits(forward, lesson.batches.windows, lesson.teacher_file)

    def _optimizer(self) -> torch.optim.Optimizer:
        options = self.options
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            # Norms and biases are not pulled to zero, and scores of what may go are no weights.
            decay = options.weight_decay if parameter.dim() > 1 and not name.startswith(SCORES) else 0.0
            groups.setdefault((self.recipe.rate(name), decay), []).append(parameter)
        return torch.optim.AdamW(
            [{"params": own, "rate": rate, "weight_decay": decay} for (rate, decay), own in groups.items()],
            lr=options.rate,
            fused=True,
        )

    def _save(self) -> None:
        state: State = {
            "step": self.done,
            "structure": self.recipe.structure(),
            "model": {name: value.detach().cpu() for name, value in self.student.named_parameters()},
            "extra": {name: value.detach().cpu() for name, value in self.recipe.extra().items()},
            "optimizer": self.optimizer.state_dict(),
            "recipe": self.recipe.state(),
            "curve": [list(vars(point).values()) for point in self.curve],
            "meter": self.meter.state(),
            "seconds": self.before + time.monotonic() - self.begun,
        }
        save_state(self.lesson.state, self.lesson.run, state)

    def _restore(self, state: State) -> None:
        with torch.no_grad():
            for stored, own in (
                (state["model"], dict(self.student.named_parameters())),
                (state["extra"], self.recipe.extra()),
            ):
                for name, value in own.items():
                    value.copy_(stored[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recipe.restore(state["recipe"])
        self.done, self.before = state["step"], state["seconds"]
        self.curve = [Point(*values) for values in state["curve"]]
