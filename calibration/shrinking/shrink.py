"""Checkpoint -> smaller checkpoint: heads and neurons that matter least for their time go, and nothing is trained.

After Kwon et al. 2022 (arXiv 2204.09656): gradients of masks, a search under a cost, swaps, a refit. The
cost is latency, measured on this CPU for each number of heads and each width.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from calibration.data.answered_windows import AnsweredWindow, draw_answered
from calibration.data.samples import Inputs, draw_samples
from calibration.shrinking.latency_model import LatencyPrecision, compiled_run, lower_quartile_ms, measure_costs
from calibration.shrinking.mask_search import Masks
from calibration.shrinking.report import EvaluationRecord, Shrinking, Timing, Trial, describe_shrinking
from calibration.shrinking.shrinker import METHODS, Material, Method, Shrunk, shrink_encoder
from calibration.shrinking.speed_search import fastest_within
from calibration.shrinking.structure_costs import StructureCosts
from calibration.sparsity.sparsification import CalibrationRecord
from calibration.statistics.score_drop import same_questions, score_drop, too_few_questions
from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.families.formats import CHECKPOINT_FORMATS
from converters.model.compaction import compact, report_compaction
from converters.model.encoder import Encoder
from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import CalibrationError, CheckpointError, InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import Evaluation, evaluate, scorable
from edge_qa.files import check_destination, scratch_folder
from edge_qa.progress import Progress, no_progress

# Questions that rank the speed-ups of a search; the whole evaluation then decides.
_RANKING = 300
# Speed-ups that are searched: in such steps, up to so many times.
_SPEEDUP_STEP = 0.05
_MOST_SPEEDUP = 10.0


def shrink(
    checkpoint: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str],
    speedup: float | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    max_drop: float | None = None,
    limit: int | None = None,
    method: Method = "full",
    precision: LatencyPrecision = "f32",
    samples: int = 2000,
    seed: int = 0,
    force: bool = False,
    progress: Progress = no_progress,
) -> Shrinking:
    """Write a checkpoint without the heads and neurons that matter least for their time; the source is left alone.

    calibration: a SQuAD file or JSON lines with answers ("magnitude" needs none).
    speedup: how many times faster the model shall be by measured latency, at the mean length of the
    calibration windows. Or, instead: evaluation and max_drop, for the largest speed-up that loses at
    most so many points of F1 on that file, in steps of 0.05. limit: of its questions (all by default).
    method: see calibration/shrinking/shrinker.py; all but "magnitude" need the torch extra.
    precision: that the latency is measured in; "int8" needs the calibrate extra, and suits a bundle that
    will be quantized. samples: calibration windows, one a question, drawn with `seed`.
    Raises InputError for options or data that do not fit, CheckpointError for a checkpoint that cannot be
    read, shrunk or written back, CalibrationError if no speed-up keeps within `max_drop`; nothing is
    written then.
    """
    target = Path(os.path.abspath(destination))
    read = [checkpoint, calibration, *([] if evaluation is None else [evaluation])]
    check_destination(target, force=force, sources=read)
    _check_options(speedup, evaluation, max_drop, method, samples)
    data = read_dataset(calibration)
    test = None if evaluation is None else scorable(read_dataset(evaluation))
    source = read_checkpoint(checkpoint)
    encoder = compact(_shrinkable(source))
    with scratch_folder(target) as folder:
        dense = QuestionAnswerer.load(convert(source.path, folder / "dense").path)
        material, tokens = _measure(encoder, dense, data, method, samples, seed, progress)
        progress("latency", 0, 1)
        costs = measure_costs(encoder, tokens, precision=precision)
        progress("latency", 1, 1)

        def make(wanted: float) -> Shrunk:
            budget = costs.dense / wanted
            progress("search")
            return shrink_encoder(material, costs, budget, method, progress=progress)

        trials: list[Trial] = []
        before = after = drop = judged_by = None
        notes: list[str] = []
        if speedup is not None:
            _check_reachable(speedup, costs)
            shrunk = make(speedup)
        else:
            assert test is not None
            assert max_drop is not None
            judged_by = EvaluationRecord(test.name, test.sha256, test.segmentation, limit, max_drop)
            judge = _Judge(source, dense, test, limit, make, folder, progress)
            speedup = _find_speedup(judge, costs, max_drop)
            trials, shrunk = judge.trials, judge.made[speedup]
            before, after = judge.evaluations[None, False], judge.evaluations[speedup, False]
            drop = score_drop(test, before, after, "f1")
            if method != "magnitude":  # which asks the weights alone
                notes += same_questions(data, test, after, "what goes")
            notes += too_few_questions(drop, max_drop)
    if not shrunk.masks.remove_anything:
        raise InputError("too small to remove anything of this model", where=f"speedup {speedup:g}", remedy="raise it")
    progress("write")
    record = CalibrationRecord(data.name, data.sha256, len(material.windows), seed)
    structure = report_compaction(encoder, shrunk.encoder)
    removed, known = _head_numbers(source, shrunk.masks)
    card = (
        f"{source.card or f'# {target.name}'}\n\n"
        f"{describe_shrinking(method, speedup, precision, structure, record, source.sha256)}"
    )
    write_checkpoint(shrunk.encoder, target, source=replace(source, card=card), dropped_heads=known, force=force)
    progress("compare the speed")
    predicted = costs.dense / costs.of(shrunk.masks.head_counts, shrunk.masks.widths)
    return Shrinking(
        path=target,
        method=method,
        speedup=speedup,
        timing=_time(encoder, shrunk.encoder, tokens, precision, predicted),
        costs=costs,
        calibration=record,
        removed_heads=removed,
        structure=structure,
        refits=shrunk.refits,
        evaluation=judged_by,
        trials=tuple(trials),
        before=None if before is None else before.scores,
        after=None if after is None else after.scores,
        drop=drop,
        notes=tuple(notes),
    )


def _check_options(
    speedup: float | None,
    evaluation: str | os.PathLike[str] | None,
    max_drop: float | None,
    method: Method,
    samples: int,
) -> None:
    if method not in METHODS:
        raise InputError(f"got {method!r}", where="method", wanted=f"one of {', '.join(METHODS)}")
    if samples < 1:
        raise InputError(f"got {samples}", where="samples", wanted="at least 1")
    if (speedup is None) == (max_drop is None) or (evaluation is None) != (max_drop is None):
        raise InputError("give either speedup, or evaluation and max_drop together")
    if speedup is not None and not 1 < speedup < float("inf"):
        raise InputError(f"got {speedup:g}", where="speedup", wanted="more than 1, such as 1.5")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise InputError(f"got {max_drop:g}", where="max_drop", wanted="points of F1, 0 to 100, such as 1.0")


def _shrinkable(source: Checkpoint) -> Encoder:
    """Read the encoder. Raises CheckpointError if it cannot be shrunk or written back."""
    encoder = read_encoder(source)
    shared = len({id(layer) for layer in encoder.layers}) < len(encoder.layers)
    odd = any(layer.bottleneck is not None or len(layer.feed_forwards) != 1 for layer in encoder.layers)
    if shared or odd or encoder.family not in CHECKPOINT_FORMATS:
        why = "its layers share their weights" if shared else "its layers have bottlenecks" if odd else "no writer"
        raise CheckpointError(
            f"a checkpoint of family {encoder.family!r} cannot be shrunk ({why})",
            where=source.path,
            remedy=f"supported are {', '.join(CHECKPOINT_FORMATS)}",
        )
    return encoder


def _measure(
    encoder: Encoder,
    dense: QuestionAnswerer,
    data: Dataset,
    method: Method,
    samples: int,
    seed: int,
    progress: Progress,
) -> tuple[Material, int]:
    """Draw windows, take gradients, and return them with the length to measure latency at."""
    if method == "magnitude":
        windows = draw_samples(dense, data.examples, samples, seed=seed, where=data.where)
        return Material(encoder, windows), _mean_length(dense, windows)
    # Imported here, because it brings torch.
    from calibration.shrinking.fisher import mask_gradients

    answered = draw_answered(dense, data.examples, samples, seed=seed, where=data.where)
    gradients = mask_gradients(encoder, answered, progress=progress)
    windows = _inputs(dense, answered)
    return Material(encoder, windows, gradients), _mean_length(dense, windows)


def _inputs(answerer: QuestionAnswerer, answered: list[AnsweredWindow]) -> list[Inputs]:
    return [answerer.engine.batch([item.window], pad=False) for item in answered]


def _mean_length(answerer: QuestionAnswerer, windows: list[Inputs]) -> int:
    """The mean true length as the runtime rounds it up, tokens."""
    tokens = [inputs["input_ids"].shape[1] for inputs in windows]
    return answerer.engine.padded_length(round(sum(tokens) / len(tokens)))


def _check_reachable(speedup: float, costs: StructureCosts) -> None:
    most = costs.most_speedup
    if speedup > most:
        raise InputError(
            f"without any head or neuron this model would run {most:.2f} times faster on this CPU, and no more",
            where=f"speedup {speedup:g}",
            remedy="ask for less",
        )


class _Judge:
    """Makes the model of a speed-up and scores it, each once, on few questions or on all that were asked for.

    folder: where the models lie meanwhile.
    """

    def __init__(
        self,
        source: Checkpoint,
        dense: QuestionAnswerer,
        test: Dataset,
        limit: int | None,
        make: Callable[[float], Shrunk],
        folder: Path,
        progress: Progress,
    ) -> None:
        self.source, self.dense, self.test, self.make, self.progress = source, dense, test, make, progress
        self.folder = folder
        self.limits = {True: min(_RANKING, limit or _RANKING), False: limit}
        self.made: dict[float, Shrunk] = {}
        self.evaluations: dict[tuple[float | None, bool], Evaluation] = {}
        self.trials: list[Trial] = []

    def drop(self, speedup: float, quick: bool) -> float:
        """Points of F1 that the model of this speed-up loses."""
        if (None, quick) not in self.evaluations:
            self.evaluations[None, quick] = self._score(self.dense, quick)
        before = self.evaluations[None, quick].scores
        if (speedup, quick) not in self.evaluations:
            if speedup not in self.made:
                self.made[speedup] = self.make(speedup)
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                small = write_checkpoint(self.made[speedup].encoder, Path(folder) / "small", source=self.source)
                with QuestionAnswerer.load(convert(small, Path(folder) / "bundle").path) as answerer:
                    self.evaluations[speedup, quick] = self._score(answerer, quick)
            after = self.evaluations[speedup, quick].scores
            self.trials.append(Trial(speedup, after.questions, before.f1, after.f1))
        return before.f1 - self.evaluations[speedup, quick].scores.f1

    def _score(self, answerer: QuestionAnswerer, quick: bool) -> Evaluation:
        return evaluate(
            [("", answerer)],
            self.test,
            limit=self.limits[quick],
            warm_up=False,
            progress=self.progress,
        )[0]


def _find_speedup(judge: _Judge, costs: StructureCosts, max_drop: float) -> float:
    count = int((min(costs.most_speedup, _MOST_SPEEDUP) - 1) / _SPEEDUP_STEP + 1e-9)
    speedups = [round(1 + _SPEEDUP_STEP * step, 2) for step in range(1, count + 1)]
    found = fastest_within(
        speedups,
        lambda speedup: judge.drop(speedup, True) <= max_drop,
        lambda speedup: judge.drop(speedup, False) <= max_drop,
    )
    if found is None:
        least = min((trial.drop for trial in judge.trials), default=float("nan"))
        raise CalibrationError(
            f"no speed-up from {1 + _SPEEDUP_STEP:g} on keeps within {max_drop:g} points of F1 on "
            f"{judge.test.name}, the least drop was {least:.2f}; nothing was written",
            where=judge.source.path,
            remedy="allow more, or train",
        )
    return found


def _head_numbers(source: Checkpoint, masks: Masks) -> tuple[tuple[tuple[int, ...], ...], dict[int, tuple[int, ...]]]:
    """Which heads went, by layer: original numbers or places, and those layers of it whose numbers are original."""
    encoder = read_encoder(source)
    total = int(source.config[CHECKPOINT_FORMATS[encoder.family].heads])
    gone = source.config.get("pruned_heads") or {}
    removed, known = [], {}
    for index, stays in enumerate(masks.heads):
        places = (~stays).nonzero()[0].tolist()
        numbers = [number for number in range(total) if number not in gone.get(str(index), ())]
        if len(numbers) == len(stays):
            known[index] = tuple(numbers[place] for place in places)
        removed.append(known.get(index, tuple(places)))
    return tuple(removed), known


def _time(dense: Encoder, small: Encoder, tokens: int, precision: LatencyPrecision, predicted: float) -> Timing:
    runs = {"dense": compiled_run(dense, tokens, precision), "shrunk": compiled_run(small, tokens, precision)}
    times = lower_quartile_ms(runs)
    return Timing(tokens, precision, times["dense"], times["shrunk"], predicted)
