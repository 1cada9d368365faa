"""Time bundles side by side: cold start, memory, and what each part of a question costs at given lengths.

Bundles take turns of a few questions each, so that a busy machine slows all of them alike; a turn
is long enough that the weights of one do not push those of another out of the cache, which would
slow both. Times are of one question at a time, except for the bulk figures.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.bench.fresh_process import FreshProcess, run_fresh_process
from edge_qa.bench.report import BenchReport, BundleBench, Settings, Timing
from edge_qa.bench.sized_text import SizedTexts
from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import Latency
from edge_qa.inference.engine_choice import EngineName
from edge_qa.inference.stopwatch import Stopwatch
from edge_qa.progress import Progress, no_progress
from edge_qa.system.machine import CPUTime, is_disturbed, this_machine
from edge_qa.text.windows import Window

Pair = tuple[str, str]

DEFAULT_LENGTHS = (32, 64, 128, 256, 384)
# Questions a length and questions of a data set, unless asked otherwise.
DEFAULT_QUESTIONS = (20, 200)
# Questions that a bundle answers before the next one has its turn.
TURN = 10
_START_TOKENS = 128


@dataclass(frozen=True, eq=False)
class _Workload:
    """One kind of question; the texts differ from bundle to bundle where the tokenizers do."""

    name: str
    tokens: int | None
    rounds: list[list[list[Pair]]]  # per bundle and repetition, and one more in front to warm up


@dataclass(eq=False)
class _Samples:
    """Seconds of one bundle on one workload: rows of (tokenize, inference, spans), and of whole passes."""

    parts: list[tuple[float, float, float]] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)


def bench(
    bundles: Sequence[str | os.PathLike[str]],
    *,
    lengths: Sequence[int] | None = None,
    data: str | os.PathLike[str] | None = None,
    questions: int | None = None,
    repeat: int = 5,
    starts: int = 5,
    threads: int | None = None,
    budgets: Sequence[str] = (FULL_BUDGET,),
    engine: EngineName = "auto",
    seed: int = 0,
    progress: Progress = no_progress,
) -> BenchReport:
    """Time every bundle on seeded questions of each length, or on those of a data set, or on both.

    lengths: true tokens of a window; without them and without `data`, those of 32 to 384 that fit.
    questions: how many of each length (20) and of the data set (200), spread over it.
    repeat: how often each one is asked. starts: fresh processes a bundle; 0 for no cold start.
    budgets: every bundle is timed with each of these token budgets.
    engine: as for `QuestionAnswerer.load`.
    Raises InputError for a length that a bundle cannot take or a budget that it lacks, and what loading raises.
    """
    _check(bundles, lengths, budgets, questions=questions, repeat=repeat, starts=starts)
    timed = [(path, budget) for path in bundles for budget in dict.fromkeys(budgets)]
    answerers = [QuestionAnswerer.load(path, threads=threads, budget=budget, engine=engine) for path, budget in timed]
    if lengths is None:
        longest = min(answerer.max_seq_len for answerer in answerers)
        lengths = () if data is not None else [length for length in DEFAULT_LENGTHS if length <= longest] or [longest]
    texts = [SizedTexts(answerer) for answerer in answerers]
    workloads = [_of_length(texts, tokens, questions or DEFAULT_QUESTIONS[0], repeat, seed) for tokens in lengths]
    settings = Settings(tuple(lengths), None, None, repeat, seed)
    if data is not None:
        dataset = read_dataset(data)
        settings = Settings(settings.lengths, dataset.name, dataset.sha256, repeat, seed)
        workloads.append(_of_data(answerers, dataset, questions or DEFAULT_QUESTIONS[1], repeat))
    asked = sum(len(workload.rounds[0][0]) for workload in workloads)
    # Once to warm up, then alone and in bulk in each repetition.
    steps = _Steps(progress, len(timed) * (starts + (2 * repeat + 1) * asked))
    machine, begin = this_machine(threads), CPUTime.now()
    tokens = min(_START_TOKENS, *(answerer.max_seq_len for answerer in answerers))
    first_pairs = [made.pair(tokens, seed=seed) for made in texts]
    fresh = _start(timed, first_pairs, starts, threads, engine, steps)
    samples = _measure(answerers, workloads, repeat, steps)
    others = CPUTime.now().others_since(begin)
    results = []
    for number, ((path, budget), answerer) in enumerate(zip(timed, answerers, strict=True)):
        timings = tuple(_timing(workload, answerer, samples[index], number) for index, workload in enumerate(workloads))
        runs = sorted(fresh[number], key=lambda run: run.start.total_ms)
        manifest = answerer.manifest
        results.append(
            BundleBench(
                bundle=str(path),
                budget=budget,
                engine=answerer.engine.name,
                digest=manifest.digest,
                precision=manifest.precision,
                bytes=sum(record.bytes for record in manifest.files.values()),
                starts=len(runs),
                start=runs[(len(runs) - 1) // 2].start if runs else None,
                peak_bytes=_largest(run.peak_bytes for run in runs),
                every_length_peak_bytes=_largest(run.every_length_peak_bytes for run in runs),
                timings=timings,
            )
        )
    return BenchReport(machine, settings, others, is_disturbed(others, machine), tuple(results))


class _Steps:
    """Counts what is done; a step is one question or one fresh process."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        self.done += count
        self.progress("bench", self.done, self.total)


def _check(
    bundles: Sequence[str | os.PathLike[str]],
    lengths: Sequence[int] | None,
    budgets: Sequence[str],
    *,
    questions: int | None,
    repeat: int,
    starts: int,
) -> None:
    if not bundles:
        raise InputError("got none", where="bundles", wanted="at least one")
    if not budgets:
        raise InputError("got none", where="budgets", wanted=f"at least one, such as {FULL_BUDGET}")
    if lengths is not None and not lengths:
        raise InputError("got none", where="lengths", wanted="at least one, such as 128")
    if questions is not None and questions < 1:
        raise InputError(f"got {questions}", where="questions", wanted="at least 1")
    if repeat < 1:
        raise InputError(f"got {repeat}", where="repeat", wanted="at least 1")
    if starts < 0:
        raise InputError(f"got {starts}", where="starts", wanted="0 or more")


def _of_length(texts: Sequence[SizedTexts], tokens: int, questions: int, repeat: int, seed: int) -> _Workload:
    """No text comes twice, so that nothing remembered from the last time can help."""
    rounds = [
        [
            [made.pair(tokens, seed=seed, index=index) for index in range(first, first + questions)]
            for first in range(0, (repeat + 1) * questions, questions)
        ]
        for made in texts
    ]
    return _Workload(f"{tokens} tokens", tokens, rounds)


def _of_data(answerers: Sequence[QuestionAnswerer], dataset: Dataset, questions: int, repeat: int) -> _Workload:
    """Questions spread evenly over a data set."""
    places = np.linspace(0, len(dataset) - 1, min(questions, len(dataset))).round().astype(int)
    examples = [dataset.examples[place] for place in places]
    for example in examples:
        try:
            list(_windows(answerers[0], (example.question, example.context)))
        except InputError as error:
            raise InputError(f"question {example.id}: {error}", where=dataset.where) from None
    pairs = [(example.question, example.context) for example in examples]
    return _Workload(dataset.name, None, [[pairs] * (repeat + 1)] * len(answerers))


def _start(
    timed: Sequence[tuple[str | os.PathLike[str], str]],
    pairs: Sequence[Pair],
    starts: int,
    threads: int | None,
    engine: EngineName,
    steps: _Steps,
) -> list[list[FreshProcess]]:
    """timed: (bundle, budget) pairs."""
    runs: list[list[FreshProcess]] = [[] for _ in timed]
    for turn in range(starts):
        for number in _rotated(len(timed), turn):
            # One of the processes goes on to every length, for its memory.
            last = turn == starts - 1
            path, budget = timed[number]
            run = run_fresh_process(
                path, *pairs[number], threads=threads, budget=budget, engine=engine, every_length=last
            )
            runs[number].append(run)
            steps.add(1)
    return runs


def _measure(
    answerers: Sequence[QuestionAnswerer], workloads: Sequence[_Workload], repeat: int, steps: _Steps
) -> list[list[_Samples]]:
    """Samples by workload and bundle. Every workload is visited in every repetition, not one after the other."""
    samples = [[_Samples() for _ in answerers] for _ in workloads]
    for number, answerer in enumerate(answerers):
        for workload in workloads:
            answerer.answer_many(workload.rounds[number][0])  # kernels are made at the first sight of a length
            steps.add(len(workload.rounds[number][0]))
    turns = 0
    for repetition in range(1, repeat + 1):
        for workload, found in zip(workloads, samples, strict=True):
            for first in range(0, len(workload.rounds[0][0]), TURN):
                for number in _rotated(len(answerers), turns):
                    # Untimed: brings the weights back into the cache. What is timed is not remembered from before.
                    _ask(answerers[number], workload.rounds[number][0][first - 1])
                    answerers[number].forget_contexts()
                    turn = workload.rounds[number][repetition][first : first + TURN]
                    found[number].parts += [_ask(answerers[number], pair) for pair in turn]
                    steps.add(len(turn))
                turns += 1
            for number in _rotated(len(answerers), repetition):
                answerers[number].forget_contexts()
                begin = time.perf_counter()
                answerers[number].answer_many(workload.rounds[number][repetition])
                found[number].bulk.append(time.perf_counter() - begin)
                steps.add(len(workload.rounds[number][repetition]))
    return samples


def _windows(answerer: QuestionAnswerer, pair: Pair) -> Iterator[Window]:
    """Cut as `answer` does."""
    return answerer.windows(*pair, within="block")


def _ask(answerer: QuestionAnswerer, pair: Pair) -> tuple[float, float, float]:
    """Do what `answer` does, and return the seconds of its three steps."""
    watch, begin = Stopwatch(), time.perf_counter()
    (outcome,) = answerer.outcomes([pair], lambda pair: _windows(answerer, pair), batch_size=1, stopwatch=watch)
    answerer.answers(outcome.spans(), pair[1], top_k=1)
    total = time.perf_counter() - begin
    return watch.tokenizing, watch.inference, total - watch.tokenizing - watch.inference


def _timing(workload: _Workload, answerer: QuestionAnswerer, samples: list[_Samples], number: int) -> Timing:
    parts = np.array(samples[number].parts)  # (samples, 3)
    windows = [list(_windows(answerer, pair)) for pair in workload.rounds[number][-1]]
    tokens = [window.tokens for question in windows for window in question]
    reference = np.median(np.array(samples[0].parts).sum(axis=1))
    return Timing(
        workload=workload.name,
        tokens=workload.tokens,
        mean_tokens=float(np.mean(tokens)),
        mean_run_tokens=float(np.mean([answerer.engine.padded_length(count) for count in tokens])),
        mean_windows=len(tokens) / len(windows),
        questions=len(windows),
        samples=len(parts),
        end_to_end=_latency(parts.sum(axis=1)),
        tokenize=_latency(parts[:, 0]),
        inference=_latency(parts[:, 1]),
        spans=_latency(parts[:, 2]),
        questions_per_second=len(windows) / median(samples[number].bulk),
        speed=float(reference / np.median(parts.sum(axis=1))),
    )


def _latency(seconds: NDArray[np.float64]) -> Latency:
    milliseconds = seconds * 1000
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99]).tolist()
    return Latency(float(milliseconds.mean()), p50, p90, p99)


def _rotated(count: int, turn: int) -> Iterator[int]:
    """0..count-1, beginning with another one each turn."""
    return ((turn + step) % count for step in range(count))


def _largest(values: Iterator[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
