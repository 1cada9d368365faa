"""Score bundles on a data set with the official metric, and time every question."""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.manifest import FULL_BUDGET, ScoreRecord
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example, Version
from edge_qa.evaluation.segmentation import Segmentation
from edge_qa.evaluation.speed import EVEN, Speed, paired_speed
from edge_qa.evaluation.squad_metric import BestThreshold, Scores, best_no_answer_threshold, score
from edge_qa.inference.stopwatch import Stopwatch
from edge_qa.progress import Progress, no_progress
from edge_qa.system.machine import CPUTime, is_disturbed, this_machine
from edge_qa.text.windows import Window


@dataclass(frozen=True)
class Latency:
    """Milliseconds a question, end to end, one question at a time."""

    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Evaluation:
    """How one bundle did.

    outside_inference: the share of the time spent outside OpenVINO: tokenizing, windows, spans.
    segmentation: how answers were cut into the tokens that F1 counts, see `segmentation.py`.
    speed: against the first of the answerers that took turns, question by question.
    disturbed: whether other programs left fewer cores than were timed.
    best_threshold: for data with unanswerable questions, the no-answer threshold of the best F1.
    predictions: question id -> answer text. question_ms: milliseconds of each question, in order.
    """

    bundle: str
    dataset: str
    dataset_sha256: str
    metric: Version
    segmentation: Segmentation
    scores: Scores
    latency: Latency
    outside_inference: float
    settings: dict[str, str]
    best_threshold: BestThreshold | None
    predictions: dict[str, str] = field(repr=False)
    question_ms: tuple[float, ...] = field(repr=False)
    speed: Speed = EVEN
    disturbed: bool = False

    def summary(self) -> dict[str, Any]:
        """Everything but what there is of each question, as JSON values."""
        values = asdict(self)
        del values["predictions"], values["question_ms"]
        return values

    def record(self) -> ScoreRecord:
        """The scores as a bundle's manifest keeps them: no timings."""
        return ScoreRecord(
            self.dataset,
            self.dataset_sha256,
            self.metric,
            self.scores.questions,
            self.scores.exact_match,
            self.scores.f1,
            self.settings,
        )


def shown_name(bundle: str | os.PathLike[str], budget: str, engine: str) -> str:
    """Return what a table calls a bundle that answers with a budget and an engine; what is usual is not said."""
    remarks = [*([] if budget == FULL_BUDGET else [budget]), *([] if engine == "openvino" else [engine])]
    return f"{bundle} ({', '.join(remarks)})" if remarks else str(bundle)


def metric_name(result: Evaluation) -> str:
    """Return what a table calls the metric, and how answers were compared where that was not SQuAD's way."""
    other = "" if result.segmentation == "squad" else f", answers compared by {result.segmentation}"
    return f"SQuAD {result.metric} metric{other}"


def scorable(dataset: Dataset) -> Dataset:
    """Raise InputError now for what the metric would raise after all questions were asked; return the data."""
    lacking = next((example for example in dataset if not dataset.can_score(example)), None)
    if lacking is not None:
        raise InputError(
            f"question {lacking.id!r} has no answer to score by", where=dataset.where, remedy="give data with answers"
        )
    blank = next((example for example in dataset if not (example.question.strip() and example.context.strip())), None)
    if blank is not None:
        raise InputError(
            f"question {blank.id!r} or its context is blank", where=dataset.where, remedy="correct or remove it"
        )
    return dataset


def evaluate(
    answerers: Sequence[tuple[str, QuestionAnswerer]],
    dataset: Dataset,
    *,
    limit: int | None = None,
    no_answer_threshold: float | None = None,
    warm_up: bool = True,
    progress: Progress = no_progress,
) -> list[Evaluation]:
    """Answer every question with every answerer, taking turns, so that all see the same machine.

    answerers: (name, answerer) pairs. limit: use this many questions, spread evenly over the data.
    no_answer_threshold: as for `answer`; on data with unanswerable questions the threshold of the
    best F1 is searched besides.
    warm_up: run every input length once before timing starts.
    Raises InputError if the data cannot be scored, or a question not asked (blank, not valid Unicode).
    """
    scorable(dataset)
    examples = _spread(dataset.examples, limit)
    runs = [_Run(name, answerer, no_answer_threshold) for name, answerer in answerers]
    if warm_up:
        for run in runs:
            run.answerer.warm_up()
    machine, begin = this_machine(max(run.answerer.engine.threads for run in runs)), CPUTime.now()
    for index, example in enumerate(examples):
        for turn in range(len(runs)):
            runs[(index + turn) % len(runs)].ask(example, dataset.where)
        progress("evaluate", index + 1, len(examples))
    disturbed = is_disturbed(CPUTime.now().others_since(begin), machine)
    results = [run.result(dataset, examples) for run in runs]
    return [
        replace(result, speed=paired_speed(results[0].question_ms, result.question_ms), disturbed=disturbed)
        for result in results
    ]


class _Run:
    def __init__(self, name: str, answerer: QuestionAnswerer, threshold: float | None) -> None:
        self.name, self.answerer = name, answerer
        self.threshold = answerer.defaults.no_answer_threshold if threshold is None else threshold
        self.predictions: dict[str, str] = {}
        self.margins: dict[str, float] = {}
        self.seconds: list[float] = []
        self.inference_seconds = 0.0

    def windows(self, example: Example) -> Iterator[Window]:
        return self.answerer.windows(example.question, example.context)

    def ask(self, example: Example, where: str) -> None:
        watch, begin = Stopwatch(), time.perf_counter()
        # As `answer` does: the windows of a question one by one.
        (outcome,) = self.answerer.outcomes([example], self.windows, batch_size=1, stopwatch=watch)
        if outcome.error is not None:
            raise InputError(f"question {example.id}: {outcome.error}", where=where) from None
        selection = outcome.spans()
        # The best span is kept even where "none" would win, so that a threshold can be searched.
        best = self.answerer.answers(selection, example.context, top_k=1, no_answer_threshold=float("inf"))[0]
        self.seconds.append(time.perf_counter() - begin)
        self.inference_seconds += watch.inference
        self.predictions[example.id] = best.text
        self.margins[example.id] = selection.null_margin

    def result(self, dataset: Dataset, examples: Sequence[Example]) -> Evaluation:
        given = self.predictions
        best = None
        if self.threshold is not None:
            given = {key: "" if self.margins[key] > self.threshold else text for key, text in given.items()}
        if dataset.version == "v2.0":
            best = best_no_answer_threshold(
                examples, self.predictions, _finite(self.margins), metric="f1", segmentation=dataset.segmentation
            )
        milliseconds = np.array(self.seconds) * 1000
        p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99]).tolist()
        defaults, budget = self.answerer.defaults, self.answerer.budget
        return Evaluation(
            bundle=self.name,
            dataset=dataset.name,
            dataset_sha256=dataset.sha256,
            metric=dataset.version,
            segmentation=dataset.segmentation,
            scores=score(examples, given, version=dataset.version, segmentation=dataset.segmentation),
            latency=Latency(float(milliseconds.mean()), p50, p90, p99),
            outside_inference=1 - self.inference_seconds / sum(self.seconds),
            settings={
                "max_seq_len": str(self.answerer.max_seq_len),
                "doc_stride": str(defaults.doc_stride),
                "max_question_len": str(defaults.max_question_len),
                "max_answer_len": str(defaults.max_answer_len),
                "no_answer_threshold": str(self.threshold),
                "precision": self.answerer.engine.precision,
                "engine": self.answerer.engine.name,
                **({} if budget == FULL_BUDGET else {"budget": budget}),
                **({} if dataset.segmentation == "squad" else {"segmentation": dataset.segmentation}),
            },
            best_threshold=best,
            predictions=given,
            question_ms=tuple(milliseconds.tolist()),
        )


def _finite(margins: Mapping[str, float]) -> dict[str, float]:
    """The margins; where a text has no span at all, more than any other."""
    largest = max((margin for margin in margins.values() if math.isfinite(margin)), default=0.0)
    return {key: margin if math.isfinite(margin) else largest + 1 for key, margin in margins.items()}


def _spread(examples: tuple[Example, ...], limit: int | None) -> tuple[Example, ...]:
    if limit is None or limit >= len(examples):
        return examples
    if limit < 1:
        raise InputError(f"got {limit}", where="limit", wanted="at least 1")
    return tuple(examples[i] for i in np.linspace(0, len(examples) - 1, limit).round().astype(int))
