"""A batch of requests -> answers, the same to the last bit as `QuestionAnswerer.answer` gives them one by one.

The native engine computes a window alike in every batch, so windows run together, up to a budget of tokens.
OpenVINO promises no such thing: it chooses kernels by the shape of a batch. Its windows run one by one, as `answer`
runs them, the short ones first: a change of length costs it time, and with windows of one length in a row nothing is
left that batches would gain.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

import numpy as np

from edge_qa.answerer import QuestionAnswerer
from edge_qa.documents.cited_answers import CitedAnswer
from edge_qa.documents.index import DocumentIndex
from edge_qa.errors import EdgeQAError, InputError, is_out_of_memory
from edge_qa.inference.batching import LogitsSource
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.native.engine import NativeEngine
from edge_qa.inference.reading import Limits, Reading
from edge_qa.inference.spans import Logits, Selection
from edge_qa.inference.stopwatch import Stopwatch
from edge_qa.service.workers.messages import (
    Answers,
    Ask,
    Batch,
    Cited,
    CitedAnswers,
    Done,
    Found,
    How,
    Problem,
    Questions,
    Result,
)
from edge_qa.text.windows import Window

_log = logging.getLogger(__name__)

_NOTHING: Logits = np.empty(0, np.float32)


class LateError(InputError):
    """The deadline of a request was over before its answer was there."""


class DocumentsError(Exception):
    """The index of documents is gone, damaged or locked: a fault of the service's place, not of the request."""


class _Item(NamedTuple):
    request: int
    place: int
    question: str
    context: str


class Answering:
    """Runs batches, one after the other."""

    def __init__(self, answerer: QuestionAnswerer, index: DocumentIndex | None, batch_tokens: int) -> None:
        """batch_tokens: the most of windows that run together; a window that is longer runs alone."""
        self._answerer, self._index, self._batch_tokens = answerer, index, batch_tokens

    def run(self, batch: Batch) -> Done:
        """Return what became of each request of a batch."""
        results: dict[int, Result] = {}
        together = isinstance(self._answerer.engine, NativeEngine)
        watch = BatchWatch(self._batch_tokens if together else None)
        # What runs together has the spans that are looked for in common.
        alike: dict[tuple[int, int | None], list[int]] = {}
        for place, request in enumerate(batch.requests):
            if isinstance(request, Ask):
                results[place] = _or_problem(partial(self._ask, request, watch))
            else:
                alike.setdefault((request.how.top_k, request.how.max_answer_len), []).append(place)
        for places in alike.values():
            results |= self._questions(batch.requests, places, watch)
        return Done(
            batch.number,
            [results[place] for place in range(len(batch.requests))],
            watch.tokenizing,
            watch.inference,
            watch.tokens,
            watch.ran,
        )

    def _questions(
        self,
        requests: Sequence[Questions | Ask],
        places: Sequence[int],
        watch: "BatchWatch",
    ) -> dict[int, Result]:
        known = {place: request for place in places if isinstance(request := requests[place], Questions)}
        try:
            return self._together(known, watch)
        except Exception as error:
            if len(known) == 1:
                return dict.fromkeys(known, _problem(error))
        # One of them is to blame; alone each gets what is its own.
        found: dict[int, Result] = {}
        for place, request in known.items():
            found[place] = _or_problem(partial(self._alone, place, request, watch))
        return found

    def _alone(self, place: int, request: Questions, watch: "BatchWatch") -> Result:
        return self._together({place: request}, watch)[place]

    def _together(self, known: dict[int, Questions], watch: "BatchWatch") -> dict[int, Result]:
        """The results of requests that have `top_k` and `max_answer_len` in common."""
        how = next(iter(known.values())).how
        watch.deadline = max(request.deadline for request in known.values())
        outcomes = self._answerer.outcomes(
            (_Item(place, n, *pair) for place, request in known.items() for n, pair in enumerate(request.pairs)),
            lambda item: self._windows(item, known[item.request]),
            closer=lambda item, selection: self._closer_looks(selection, item, known[item.request].how),
            max_answer_len=how.max_answer_len,
            top_k=how.top_k,
            prompt=False,
            stopwatch=watch,
        )
        answers: dict[int, list[list[Found]]] = {place: [] for place in known}
        problems: dict[int, Result] = {}
        for outcome in outcomes:
            item = outcome.item
            try:
                selection = outcome.spans()
                request = known[item.request].how
                given = self._answerer.answers(
                    selection,
                    item.context,
                    top_k=request.top_k,
                    no_answer_threshold=request.no_answer_threshold,
                    min_confidence=request.min_confidence,
                )
            except InputError as error:
                problems.setdefault(item.request, _problem(error, item.place))
                continue
            answers[item.request].append(
                [Found(a.text, a.score, a.start, a.end, a.question_truncated, a.confidence) for a in given]
            )
        return {place: Answers(found) for place, found in answers.items()} | problems

    def _closer_looks(self, selection: Selection, item: _Item, how: How) -> Iterator[CloserLook]:
        return self._answerer.closer_looks(
            selection,
            item.question,
            item.context,
            max_question_len=how.max_question_len,
            align_to_words=how.align_to_words,
            within=how.within,
        )

    def _windows(self, item: _Item, request: Questions) -> Iterator[Window]:
        how: How = request.how
        cut = partial(
            self._answerer.windows,
            max_seq_len=how.max_seq_len,
            doc_stride=how.doc_stride,
            max_question_len=how.max_question_len,
            align_to_words=how.align_to_words,
            within=how.within,
        )
        # As the answerer does by itself; who asks for windows of an old pipeline gets all of them.
        limits = Limits("auto" if how.max_seq_len is None and how.doc_stride is None else None)
        found = Reading(item.question, item.context, limits).windows(cut)
        while True:
            if time.monotonic() > request.deadline:
                raise LateError("no answer before the deadline of the request")
            window = next(found, None)
            if window is None:
                return
            yield window

    def _ask(self, request: Ask, watch: Stopwatch) -> Result:
        if time.monotonic() > request.deadline:
            raise LateError("no answer before the deadline of the request")
        if self._index is None:
            raise InputError("this service has no documents")
        begin = time.perf_counter()
        try:
            found = self._index.ask(
                self._answerer,
                request.question,
                top_k=request.top_k,
                passages=request.passages,
                max_answer_len=request.max_answer_len,
                no_answer_threshold=request.no_answer_threshold,
                min_confidence=request.min_confidence,
                max_question_len=request.max_question_len,
            )
        except EdgeQAError as error:
            if error.where == str(self._index.path):
                # No fault of the request; and where the file lies is no matter of the client's.
                raise DocumentsError(str(error)) from None
            raise
        watch.inference += time.perf_counter() - begin
        return CitedAnswers([_cited(answer) for answer in found])


class BatchWatch(Stopwatch):
    """The time that a batch takes, and an engine that runs its windows together up to a budget, or one by one."""

    def __init__(self, most_tokens: int | None) -> None:
        """most_tokens: of a run; None for windows one by one."""
        super().__init__()
        self.most_tokens = most_tokens
        self.deadline = float("inf")
        """When nobody waits for any of it any more; then nothing more runs."""
        self.tokens = self.ran = 0
        """Of all windows that ran, and how many they were."""

    def engine(self, engine: LogitsSource) -> LogitsSource:
        """Return the engine, timed, and within the budget."""
        return _BudgetedEngine(super().engine(engine), self)


class _BudgetedEngine:
    def __init__(self, engine: LogitsSource, watch: BatchWatch) -> None:
        self._engine, self._watch = engine, watch

    def logits(self, windows: Sequence[Window], *, batch_size: int = 1) -> tuple[list[Logits], list[Logits]]:
        """Return the logits of each window. Raises LateError. batch_size: of no meaning here."""
        watch = self._watch
        start: list[Logits] = [_NOTHING] * len(windows)
        end = list(start)
        lengths = [window.tokens for window in windows]
        for places in runs_of(lengths, watch.most_tokens):
            if time.monotonic() > watch.deadline:
                raise LateError("no answer before the deadline of the request")
            both = self._engine.logits([windows[place] for place in places], batch_size=len(places))
            for place, window_start, window_end in zip(places, *both, strict=True):
                start[place], end[place] = window_start, window_end
            watch.tokens += sum(lengths[place] for place in places)
            watch.ran += len(places)
        return start, end


def runs_of(lengths: Sequence[int], most_tokens: int | None) -> Iterator[list[int]]:
    """Yield the places of windows that run together, the short ones first.

    lengths: tokens of each. most_tokens: of a run, which has at least one window; None for windows one by one.
    """
    run: list[int] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if run and (most_tokens is None or tokens + lengths[place] > most_tokens):
            yield run
            run, tokens = [], 0
        run.append(place)
        tokens += lengths[place]
    if run:
        yield run


def _or_problem(run: Callable[[], Result]) -> Result:
    try:
        return run()
    except Exception as error:
        return _problem(error)


def _problem(error: Exception, item: int | None = None) -> Problem:
    if isinstance(error, LateError):
        return Problem("late", str(error), item)
    if isinstance(error, DocumentsError):
        _log.error("%s", error)
        return Problem("documents", "the index of documents cannot be read now", item)
    if is_out_of_memory(error):
        return Problem("memory", "a worker ran out of memory", item)
    if isinstance(error, InputError):
        return Problem("unusable", str(error), item)
    if not isinstance(error, EdgeQAError):
        _log.error("a request failed", exc_info=error)
        return Problem("internal", f"internal error ({type(error).__name__})", item)
    return Problem("internal", str(error), item)


def _cited(answer: CitedAnswer) -> Cited:
    source = None
    if answer.source is not None:
        source = {name: _as_json(value) for name, value in asdict(answer.source).items()}
    return Cited(
        answer.text,
        answer.score,
        answer.start,
        answer.end,
        answer.question_truncated,
        answer.rank,
        answer.confidence,
        source,
    )


def _as_json(value: str | int | tuple[int, ...] | None) -> str | int | list[int] | None:
    if isinstance(value, tuple):
        return list(value)
    # A file name that is not UTF-8 holds lone surrogates.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
