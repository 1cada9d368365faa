"""One run from data to checkpoint: windows, teacher, recipe, loop, scores, writing."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.torch_model.model import TorchEncoder
from calibration.training.batches import Batches
from calibration.training.curve import Report
from calibration.training.data import training_windows
from calibration.training.folder import STATE
from calibration.training.loop import Lesson, train_model
from calibration.training.options import Device, TrainingRecipe
from calibration.training.recipes.hooks import Task
from calibration.training.recipes.table import recipe_class
from calibration.training.result import Training, describe
from calibration.training.settings import batch_tokens, compute_type, find_device, use_threads
from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import Checkpoint
from converters.conversion import convert
from converters.model.encoder import Encoder, named_arrays
from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import CalibrationError, EdgeQAError
from edge_qa.evaluation.dataset import Dataset
from edge_qa.evaluation.evaluate import Evaluation, evaluate
from edge_qa.files import scratch_folder
from edge_qa.progress import Progress


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that `train` was given, read and checked; teacher: its checkpoint and encoder."""

    source: Checkpoint
    encoder: Encoder
    teacher: tuple[Checkpoint, Encoder] | None
    data: Path
    folder: Path
    options: TrainingRecipe
    device: Device
    test: Dataset | None
    limit: int | None
    progress: Progress
    report: Callable[[Report], None]

    def train(self, target: Path, *, resume: bool, force: bool) -> Training:
        """Train, score and write."""
        begin = time.perf_counter()
        options = self.options
        device = find_device(self.device)
        windows = training_windows(
            self.source,
            self.encoder,
            self.data,
            self.folder,
            no_answer=options.no_answer,
            negatives=options.negatives,
            seed=options.seed,
            progress=self.progress,
        )
        tokens = options.batch_tokens or batch_tokens(device)
        compute = compute_type(options.compute, device)
        batches = Batches(windows, tokens, options.seed, device)
        total = options.steps or batches.steps(options.epochs)
        recipe = recipe_class(options.name)(
            Task(options, self.source, self.encoder, self.data, self.folder, device, self.progress)
        )
        teacher = file = None
        if self.teacher is not None:
            teacher = TorchEncoder(self.teacher[1], self.teacher[0].path)
            # What it is computed in is part of its name: logits of bfloat16 are not those of float32.
            # So do seed and tokens: what stands in a batch together is computed together, to other last bits.
            kind = f"{str(compute).removeprefix('torch.')}-{device.type}-{tokens}-{options.seed}"
            file = self.folder / f"teacher-{windows.key}-{self.teacher[0].sha256[:16]}-{kind}.f16"
        # Not how often it is scored: a run whose score fails goes on without.
        told: list[Any] = [replace(options, evaluations=1).told(), self.source.sha256, windows.key, tokens]
        told += [total, str(compute), device.type]
        told += [None if self.teacher is None else self.teacher[0].sha256]
        run = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        found: list[Evaluation] = []

        def score(encoder: Encoder) -> tuple[float | None, float]:
            found.append(self._evaluate(encoder))
            scores, best = found[-1].scores, found[-1].best_threshold
            # With unanswerable questions the other figures are those of a model that always answers.
            return (scores.exact_match, scores.f1) if best is None else (None, best.score)

        lesson = Lesson(
            recipe,
            batches,
            options,
            total,
            device,
            compute,
            self.folder / STATE,
            run,
            teacher,
            file,
            None if self.test is None else score,
            self.report,
        )
        with use_threads():
            encoder, curve, earlier = train_model(lesson, resume=resume)
        # The loss was looked at before the last step only.
        broken = next((name for name, array in named_arrays(encoder) if not np.isfinite(array).all()), None)
        if broken is not None:
            raise CalibrationError(
                f"{broken} is not finite after the last step; nothing was written",
                where=target,
                remedy="lower the learning rate",
            )
        scores = None
        if self.test is not None:
            # The last one of the run was of its end; a run that was over when it was resumed had none.
            scores = found[-1] if found else self._evaluate(encoder)
        result = Training(
            target,
            options.name,
            total,
            len(windows),
            device.type,
            earlier + time.perf_counter() - begin,
            tuple(curve),
            tuple(recipe.summary()),
            scores,
            self.data.name,
            options,
            None if self.teacher is None else self.teacher[0].sha256,
        )
        paragraph = describe(result, self.source.sha256)
        card = f"{self.source.card or f'# {target.name}'}\n\n{paragraph}"
        write_checkpoint(encoder, target, source=replace(self.source, card=card), force=force)
        return result

    def _evaluate(self, encoder: Encoder) -> Evaluation:
        """Score what would be written, as the runtime answers."""
        assert self.test is not None
        try:
            return self._evaluated(encoder, self.test)
        except EdgeQAError as error:
            # The state is there: hours are not lost to a score.
            raise type(error)(
                f"{error}; the model could not be scored: `resume` without `evaluation` goes on and writes it"
            ) from error

    def _evaluated(self, encoder: Encoder, test: Dataset) -> Evaluation:
        with scratch_folder(self.folder / "model") as folder:
            written = write_checkpoint(encoder, folder / "checkpoint", source=self.source)
            with QuestionAnswerer.load(convert(written, folder / "bundle").path) as answerer:
                found = evaluate(
                    [("", answerer)],
                    test,
                    limit=self.limit,
                    warm_up=False,
                    progress=self.progress,
                )
        return found[0]
