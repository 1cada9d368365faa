"""Checkpoint -> trained checkpoint, by one of the recipes of `calibration/training/`. Needs the torch extra."""

import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.training.folder import STATE, check_state_folder, clear_state_folder, locked
from calibration.training.options import DEVICES, Device, TrainingRecipe
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.families import read_encoder
from converters.families.formats import CHECKPOINT_FORMATS
from converters.model.compaction import compact
from converters.model.encoder import Encoder
from converters.verification.tokenizer import verify_tokenizer
from edge_qa.errors import CheckpointError, InputError, ResourceError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.evaluate import scorable
from edge_qa.files import check_destination
from edge_qa.progress import Progress, no_progress

if TYPE_CHECKING:
    from calibration.training.curve import Report
    from calibration.training.result import Training


_log = logging.getLogger(__name__)


def train(
    checkpoint: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    recipe: TrainingRecipe,
    *,
    data: str | os.PathLike[str],
    teacher: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    device: Device = "auto",
    state: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
    report: "Callable[[Report], None]" = lambda report: None,
) -> "Training":
    """Write the checkpoint that a recipe makes of another; the source is left alone.

    recipe: one of calibration/training/options.py, such as Finetune(epochs=2).
    data: a SQuAD file, or JSON lines with answers. teacher: a checkpoint with the same tokenizer, whose
    answers are learnt from; recipes that change the model take the checkpoint itself where none is given.
    evaluation: a file to score the result on, with our own runtime, on `limit` of its questions.
    state: a folder for windows, teacher's logits and the state of the run; by default one beside the
    destination, which goes when the run is done. resume: go on from the state that a stopped run left there;
    without it such a state is refused, not overwritten.
    Raises InputError for options or data that do not fit, CheckpointError for a checkpoint that cannot be
    read, trained, learnt from or written back, CalibrationError for a run that fails.
    """
    check_request(recipe, teacher, evaluation, limit)
    if device not in DEVICES:
        raise InputError(f"got {device!r}", where="device", wanted=f"one of {', '.join(DEVICES)}")
    target = Path(os.path.abspath(destination))
    read = [item for item in (checkpoint, data, teacher, evaluation) if item is not None]
    check_destination(target, force=force, sources=read)
    test = None if evaluation is None else scorable(read_dataset(evaluation))
    source = read_checkpoint(checkpoint)
    # Neurons that go one by one would move the aligned blocks of the others.
    encoder = _trainable(source, whole=recipe.name == "lock")
    taught_by = _teacher(source, teacher, recipe)
    folder = Path(os.path.abspath(state)) if state is not None else target.with_name(f"{target.name}.state")
    check_state_folder(folder, target, read, resume=resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ResourceError(
            f"cannot be written ({problem.strerror})", where=folder, remedy="choose another place"
        ) from None
    # Imported here, because it brings torch.
    from calibration.training.run import Run

    run = Run(source, encoder, taught_by, Path(data), folder, recipe, device, test, limit, progress, report)
    with locked(folder):
        try:
            # Again: another run may have stopped there since.
            check_state_folder(folder, target, read, resume=resume)
            if resume and not (folder / STATE).exists():
                _log.warning("%s: no run was stopped there; this one begins at the beginning", folder)
            result = run.train(target, resume=resume, force=force)
            clear_state_folder(folder, keep_data=state is not None)
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing is in it
    return result


def check_request(
    recipe: TrainingRecipe,
    teacher: str | os.PathLike[str] | None,
    evaluation: str | os.PathLike[str] | None,
    limit: int | None,
) -> None:
    """Raise InputError for values that cannot be used or do not fit together; nothing is read."""
    if evaluation is None and (limit is not None or recipe.evaluations > 1):
        raise InputError(
            "there is nothing to score on",
            where="limit, evaluations",
            remedy="give `evaluation`, or leave them out",
        )
    learns = recipe.learns_from_teacher
    if teacher is not None and not learns:
        raise InputError(
            f"{recipe.name} learns nothing from one",
            where="teacher",
            remedy="give a `distillation` of 0.9, or no teacher",
        )
    if teacher is None and recipe.name == "distil":
        raise InputError("learns from a teacher", where="distil", remedy="give `teacher`")
    if teacher is None and not recipe.taught and (learns or "temperature" in recipe.told()):
        raise InputError("what is asked for comes from a teacher", where=recipe.name, remedy="give `teacher`")


def _trainable(source: Checkpoint, *, whole: bool = False) -> Encoder:
    # Imported here, because it brings torch.
    from calibration.torch_model.model import untrainable

    encoder = read_encoder(source) if whole else compact(read_encoder(source))
    verify_tokenizer(
        source.tokenizer, vocabulary=encoder.vocabulary, token_types=encoder.token_types, where=source.path
    )
    why = untrainable(encoder)
    if why or encoder.family not in CHECKPOINT_FORMATS:
        raise CheckpointError(
            f"a checkpoint of family {encoder.family!r} cannot be trained here ({why or 'no writer'})",
            where=source.path,
            remedy=f"supported are {', '.join(CHECKPOINT_FORMATS)}",
        )
    return encoder


def _teacher(
    source: Checkpoint, teacher: str | os.PathLike[str] | None, recipe: TrainingRecipe
) -> tuple[Checkpoint, Encoder] | None:
    """The teacher, if the recipe has one. Raises CheckpointError if it reads other tokens."""
    if teacher is None:
        # Recipes that change the model learn from what it was.
        return (source, _trainable(source)) if recipe.taught and recipe.learns_from_teacher else None
    other = read_checkpoint(teacher)
    encoder = _trainable(other)
    if other.tokenizer != source.tokenizer and _vocabulary(other) != _vocabulary(source):
        raise CheckpointError(
            f"its vocabulary is not that of {source.path}, and a teacher must read the same tokens",
            where=other.path,
            remedy="give one with the same tokenizer",
        )
    student = _trainable(source)
    verify_tokenizer(source.tokenizer, vocabulary=encoder.vocabulary, token_types=encoder.token_types, where=other.path)
    types = (encoder.token_types, max(1, student.token_types))
    # A teacher with none leaves them out.
    if encoder.longest_input < student.longest_input or types[0] > types[1] or 0 < types[0] < types[1]:
        raise CheckpointError(
            f"takes inputs of {encoder.longest_input} tokens and {encoder.token_types} token types, "
            f"{source.path} of {student.longest_input} and {student.token_types}: it cannot read what its "
            "student reads",
            where=other.path,
            remedy="give one of the student's kind",
        )
    return other, encoder


def _vocabulary(checkpoint: Checkpoint) -> Any:
    return json.loads(checkpoint.tokenizer).get("model", {}).get("vocab")
