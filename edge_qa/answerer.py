"""QuestionAnswerer: text in, answers with offsets out."""

import logging
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, get_args, overload

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET, Defaults, Manifest
from edge_qa.errors import InputError
from edge_qa.inference.batching import BATCH, Outcome, select_many
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.cold_start import read_while_importing
from edge_qa.inference.confidence import answer_confidence, none_confidence
from edge_qa.inference.engine_choice import EngineName, may_be_native, native_engine
from edge_qa.inference.native.engine import NativeEngine
from edge_qa.inference.reading import Limits, Reading, Shortlisting
from edge_qa.inference.spans import Selection, Span
from edge_qa.inference.stopwatch import Stopwatch
from edge_qa.progress import Progress, no_progress
from edge_qa.text.blocks import Within
from edge_qa.text.chunks import PIECE, tokenize
from edge_qa.text.legibility import reading_problem
from edge_qa.text.surroundings import passage_around
from edge_qa.text.tokenizer import TextTokenizer, Tokens, bundle_tokenizer
from edge_qa.text.windows import Window, make_windows

if TYPE_CHECKING:
    from edge_qa.documents.cited_answers import CitedAnswer
    from edge_qa.documents.index import DocumentIndex
    from edge_qa.inference.engine import ComputePrecision, Engine

Item = TypeVar("Item")

_logger = logging.getLogger(__name__)

# Contexts whose tokens are kept, for the next question about the same one.
_KEPT_CONTEXTS = 8


@dataclass(frozen=True)
class Answer:
    """A span of the context: `context[start:end] == text`, offsets in code points.

    score: probability, 0..1. The answer "there is none" has empty text and start == end == 0.
    partial: a limit (`max_windows`, `timeout`) was reached before the whole context was read.
    question_truncated: the question was longer than `max_question_len` tokens, and its end was not read.
    confidence: the probability, 0..1, that this answer is right, or for "none" that there is none. It does not fall
    because more windows were read; the score does, which compares with everything that was read. None where the
    bundle has no confidence: `calibrate_confidence` fits it.
    """

    text: str
    score: float
    start: int
    end: int
    partial: bool = False
    question_truncated: bool = False
    confidence: float | None = None

    def __repr__(self) -> str:
        parts = [f"text={self.text!r}", f"score={self.score!r}", f"start={self.start!r}", f"end={self.end!r}"]
        parts += [f"{name}=True" for name in ("partial", "question_truncated") if getattr(self, name)]
        parts += [f"confidence={self.confidence!r}"] if self.confidence is not None else []
        return f"Answer({', '.join(parts)})"


@dataclass(frozen=True)
class _How:
    """What the answers to many questions have in common; see `QuestionAnswerer.answer`."""

    max_answer_len: int | None
    no_answer_threshold: float | None
    min_confidence: float | None
    max_question_len: int | None
    within: Within
    budget: str | None


_answerers: "weakref.WeakSet[QuestionAnswerer]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: a lock that another thread held at that moment is never given back."""
    for answerer in list(_answerers):
        answerer._compiling = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class QuestionAnswerer:
    """Answers questions from a bundle. Safe to share between threads, and to use after a fork."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        precision: "ComputePrecision" = "f32",
        cache: str | os.PathLike[str] | None = None,
        budget: str = FULL_BUDGET,
        engine: EngineName = "openvino",
        tokenizer: TextTokenizer | None = None,
    ) -> None:
        """Compile a loaded bundle; `load` does both steps.

        threads: how many cores one inference uses; None for all that this process may use.
        precision: "f32" gives nearly the same scores on every CPU (INT8 differs in the fourth decimal, with the native
        engine not in the last bit); "bf16" is faster where the CPU has it, and changes scores more.
        cache: an existing folder; the compiled model is kept there, and the next start is faster.
        budget: which of the bundle's token budgets answers, unless a call says another.
        engine: "openvino"; "native", which computes in 8 bits by kernels of its own and needs edge-qa-kernels; or
        "auto", the native one where it is installed and the bundle, or `cache`, holds the model packed for it.
        The native engine runs what lies in the bundle's folder, whatever `bundle` holds in memory.
        tokenizer: the bundle's, where it is at hand; see `edge_qa/inference/cold_start.py`.
        """
        self.manifest: Manifest = bundle.manifest
        self.tokenizer = tokenizer or bundle_tokenizer(bundle)
        self.budget = budget
        self._source = bundle.source()
        native = native_engine(
            bundle,
            engine,
            threads=threads,
            precision=precision,
            cache=cache,
            budget=budget,
        )
        self._compile = _compiler(threads, precision, cache) if native is None else None
        self.engine: Engine | NativeEngine = native or self._compiled(bundle, budget)
        self._engines = {budget: self.engine}
        self._compiling = threading.Lock()
        self._closed = False
        self._told = False
        self._looked_at: Tokens | None = None
        _answerers.add(self)
        # Of the tokenizer, not of self: a cycle would keep a dropped answerer until the garbage is collected.
        self._short_context = lru_cache(_KEPT_CONTEXTS)(partial(_tokenize_whole, self.tokenizer))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        precision: "ComputePrecision" = "f32",
        cache: str | os.PathLike[str] | None = None,
        budget: str = FULL_BUDGET,
        engine: EngineName = "auto",
    ) -> "QuestionAnswerer":
        """Load a bundle folder. Raises BundleError, or ResourceError if this CPU cannot run it right.

        With `cache` the model's own files are read only if the folder does not hold it compiled.
        Raises InputError if the bundle has no such budget, and what the engine asked for raises.
        """
        if may_be_native(path, engine, precision, cache):
            bundle = Bundle.load(path, model_later=True)
            tokenizer = bundle_tokenizer(bundle)
        else:
            bundle, tokenizer = read_while_importing(path, model_later=cache is not None, budget=budget)
        return cls(
            bundle,
            threads=threads,
            precision=precision,
            cache=cache,
            budget=budget,
            engine=engine,
            tokenizer=tokenizer,
        )

    def __enter__(self) -> "QuestionAnswerer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model. Questions asked afterwards raise InputError."""
        with self._compiling:
            self._closed = True
            for engine in self._engines.values():
                engine.close()
        self._short_context.cache_clear()

    def warm_up(self, *, budget: str | None = None) -> None:
        """Run every input length once; the first question is then as fast as the rest."""
        self._engine_of(budget).warm_up(self.max_seq_len)

    def _compiled(self, bundle: Bundle, budget: str) -> "Engine":
        assert self._compile is not None
        return self._compile(bundle, xml=self.manifest.budget_model(budget, bundle.path))

    def _engine_of(self, budget: str | None) -> "Engine | NativeEngine":
        """Return the engine of a budget, None for the one loaded with; another is compiled at its first use.

        Raises InputError if the bundle has no such budget, BundleError if it is not there any more.
        """
        if budget is None or budget == self.budget:
            return self.engine
        self.manifest.budget_model(budget, self._source.path)  # that there is one
        if budget in self._engines:  # without waiting for another one that is being compiled
            return self._engines[budget]
        with self._compiling:
            if self._closed:
                raise InputError("this answerer is closed", remedy="load the bundle again")
            if budget not in self._engines:
                if isinstance(self.engine, NativeEngine):
                    self._engines[budget] = self.engine.with_budget(budget)
                else:
                    # Read again rather than kept: the weights of a compiled model are copies.
                    self._engines[budget] = self._compiled(self._source.bundle(), budget)
            return self._engines[budget]

    @property
    def defaults(self) -> Defaults:
        """The settings that an answer uses unless told otherwise."""
        return self.manifest.defaults

    @property
    def max_seq_len(self) -> int:
        """The most tokens of one window."""
        return min(self.defaults.max_seq_len, self.longest_window)

    @property
    def longest_window(self) -> int:
        """The most tokens that the model takes at once."""
        return self.manifest.io.tokens or self.manifest.model.longest_input

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        shortlist: Shortlisting = "auto",
        max_windows: int | None = None,
        timeout: float | None = None,
        max_question_len: int | None = None,
        within: Within = "block",
        budget: str | None = None,
        progress: Progress = no_progress,
    ) -> Answer: ...

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        shortlist: Shortlisting = "auto",
        max_windows: int | None = None,
        timeout: float | None = None,
        max_question_len: int | None = None,
        within: Within = "block",
        budget: str | None = None,
        progress: Progress = no_progress,
    ) -> list[Answer]: ...

    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int | None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        shortlist: Shortlisting = "auto",
        max_windows: int | None = None,
        timeout: float | None = None,
        max_question_len: int | None = None,
        within: Within = "block",
        budget: str | None = None,
        progress: Progress = no_progress,
    ) -> Answer | list[Answer]:
        """Return the best answer in the context, or with `top_k` a list of that many, best first.

        max_answer_len: the most tokens of an answer (the bundle's default: 30).
        no_answer_threshold: answer "none" where its logit exceeds the best span's by more than this
        (0 is the usual start; None, the default of bundles not trained for it, always answers).
        min_confidence: answer "none" rather than with less confidence, 0..1; the bundle must have one.
        shortlist: run only this many windows, those that share most rare words with the question; None for all. "auto"
        runs 4 windows of a text of more than 20,000 characters unless another limit is given, and all of a shorter one.
        max_windows, timeout (seconds): stop reading the context there; the answer then says `partial`.
        With a shortlist max_windows leaves the likeliest, and half of the timeout goes to the ranking: what
        was not seen by then is not ranked. At least one window is always read.
        max_question_len: the most tokens of the question (the bundle's default: 64). What is longer is cut, and the
        answer then says `question_truncated`.
        within: "block" for an answer that crosses no paragraph, list item, table row, heading or numbered clause of
        the text; "text" for one that may.
        progress: told after each window how many characters of the context are read.
        budget: which token budget answers (the one loaded with).
        The context may be of any length: what is held does not grow with it, but for a shortlist's count
        of each token of the question in each window.
        Raises InputError for a blank question or context and for text that is not valid Unicode.
        """
        if top_k is not None and top_k < 1:
            raise InputError(f"got {top_k}", where="top_k", wanted="at least 1")
        self.check_confidence(min_confidence)
        limits = Limits(shortlist, max_windows, timeout)
        cut = partial(self.windows, max_question_len=max_question_len, within=within)
        look = partial(self.closer_looks, max_question_len=max_question_len, within=within)
        (outcome,) = self.outcomes(
            [Reading(question, context, limits, progress=progress)],
            lambda reading: reading.windows(cut),
            top_k=top_k or 1,
            max_answer_len=max_answer_len,
            budget=budget,
            batch_size=1,
            closer=lambda reading, selection: look(selection, reading.question, reading.context),
        )
        answers = self.answers(
            outcome.spans(),
            context,
            top_k=top_k or 1,
            no_answer_threshold=no_answer_threshold,
            min_confidence=min_confidence,
            partial=outcome.item.partial,
        )
        return answers[0] if top_k is None else answers

    def answer_many(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        max_question_len: int | None = None,
        within: Within = "block",
        budget: str | None = None,
    ) -> list[Answer]:
        """Return the best answer of each (question, context) pair, in the order given; faster than one by one."""
        how = _How(max_answer_len, no_answer_threshold, min_confidence, max_question_len, within, budget)
        return list(self._answers_of(pairs, how, prompt=False))

    def stream(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        max_question_len: int | None = None,
        within: Within = "block",
        budget: str | None = None,
    ) -> Iterator[Answer]:
        """Yield the best answer of each (question, context) pair, in the order given, as they are ready.

        Pairs are taken a block at a time, up to 256 windows of them, so an endless source is fine; a slow one,
        too: what comes more than 50 ms after it was asked for is answered at once.
        Raises what `answer` raises, when the pair's turn comes.
        """
        how = _How(max_answer_len, no_answer_threshold, min_confidence, max_question_len, within, budget)
        return self._answers_of(pairs, how, prompt=True)

    def _answers_of(self, pairs: Iterable[tuple[str, str]], how: "_How", *, prompt: bool) -> Iterator[Answer]:
        cut = partial(self.windows, max_question_len=how.max_question_len, within=how.within)
        outcomes = self.outcomes(
            pairs,
            lambda pair: Reading(*pair, Limits("auto")).windows(cut),
            max_answer_len=how.max_answer_len,
            budget=how.budget,
            prompt=prompt,
            closer=lambda pair, selection: self.closer_looks(
                selection, *pair, max_question_len=how.max_question_len, within=how.within
            ),
        )
        for outcome in outcomes:
            _, context = outcome.item
            (answer,) = self.answers(
                outcome.spans(),
                context,
                top_k=1,
                no_answer_threshold=how.no_answer_threshold,
                min_confidence=how.min_confidence,
            )
            yield answer

    def ask(
        self,
        index: "DocumentIndex",
        question: str,
        *,
        top_k: int = 1,
        passages: int | None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        max_question_len: int | None = None,
        budget: str | None = None,
    ) -> "list[CitedAnswer]":
        """Return the best answers to a question in an index of documents, best first, no two with one text or place.

        passages: how many are read, those that fit the words of the question best (10); more find more and take longer.
        no_answer_threshold: leave out a passage in which the logit of "none" exceeds the best span's by more than this.
        min_confidence: leave out answers with less confidence, 0..1; 0 for none. By default the limit for false answers
        that `calibrate_confidence` found for documents, where the bundle has one.
        Each answer has a `source`: its file, page, offsets and the sentence around. If the index has nothing
        that fits, or nothing sure enough, the one answer is "none": empty text and no source. `score` is relative to
        the passage that the answer is from; answers are sorted by `rank`, which weighs how well the passage fits, too.
        Raises InputError for a blank question, and what a search raises.
        """
        return index.ask(
            self,
            question,
            top_k=top_k,
            passages=passages,
            max_answer_len=max_answer_len,
            no_answer_threshold=no_answer_threshold,
            min_confidence=min_confidence,
            max_question_len=max_question_len,
            budget=budget,
        )

    # The steps of an answer, apart, so that they can be measured and recombined.

    def outcomes(
        self,
        items: Iterable[Item],
        windows: Callable[[Item], Iterator[Window]],
        *,
        top_k: int | None = 1,
        max_answer_len: int | None = None,
        budget: str | None = None,
        batch_size: int = BATCH,
        prompt: bool = True,
        stopwatch: Stopwatch | None = None,
        rivals: bool = False,
        closer: Callable[[Item, Selection], Iterable[CloserLook]] | None = None,
        at_hand: Callable[[], bool] | None = None,
    ) -> Iterator[Outcome[Item]]:
        """Yield what became of each item, in the order given; see `edge_qa.inference.batching.select_many`.

        windows: cuts an item, with this answerer's `windows` as a rule.
        top_k: how many spans are kept; None for all that are not negligible.
        stopwatch: is told where the time goes.
        rivals: find each span's rival even where the bundle has no confidence that looks at it.
        closer: with this answerer's `closer_looks`, for a confidence that other text does not move.
        at_hand: says whether the next item can be had at once; where it cannot, no outcome is kept waiting for it.
        """
        longest = self._max_answer_len(max_answer_len)
        engine = self._engine_of(budget)
        return select_many(
            engine if stopwatch is None else stopwatch.engine(engine),
            items,
            windows if stopwatch is None else stopwatch.windows(windows),
            max_answer_len=longest,
            top_k=top_k,
            batch_size=batch_size,
            prompt=prompt,
            rivals=rivals or self.manifest.confidence is not None,
            closer=closer if rivals or self.manifest.confidence is not None else None,
            at_hand=at_hand,
        )

    def closer_looks(
        self,
        selection: Selection,
        question: str,
        context: str,
        *,
        max_question_len: int | None = None,
        within: Within = "text",
        align_to_words: bool = False,
    ) -> Iterator[CloserLook]:
        """Yield the passages around the spans of a selection, where they are less than the context and fit a window.

        The options are those of `windows`.
        """
        passages: dict[tuple[int, int], list[int]] = {}
        for place, span in enumerate(selection.spans):
            around = passage_around(context, span.start, span.end)
            if around is not None and len(context[slice(*around)].strip()) < len(context.strip()):
                passages.setdefault(around, []).append(place)
        lengths = self._lengths(max_question_len=max_question_len)
        if not passages:
            return
        asked = self.tokenizer.encode(question, "question")
        for (begin, end), places in passages.items():
            pieces = [_tokenize_whole(self.tokenizer, context[begin:end], align_to_words, within)]
            window, *more = self._make_windows(asked, pieces, lengths)
            if not more and window.context_tokens:
                yield CloserLook(replace(window, offsets=window.offsets + begin), tuple(places))

    def windows(
        self,
        question: str,
        context: str,
        *,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
        align_to_words: bool = False,
        within: Within = "text",
    ) -> Iterator[Window]:
        """Tokenize and cut into windows, as they are asked for.

        max_seq_len, doc_stride, max_question_len: tokens; the bundle's defaults where None.
        align_to_words: answers then begin and end with whole words.
        within: "block" for answers that cross no border of the text's blocks.
        """
        if within not in get_args(Within):
            raise InputError(f"got {within!r}", where="within", wanted=" or ".join(map(repr, get_args(Within))))
        for what, text in (("question", question), ("context", context)):
            if not isinstance(text, str):
                raise InputError(f"got {type(text).__name__}", where=what, wanted="text")
            if not text or text.isspace():
                raise InputError(f"{what} is empty", remedy="give some text")
        lengths = self._lengths(max_seq_len, doc_stride, max_question_len)
        asked = self.tokenizer.encode(question, "question")
        if not len(asked.ids):
            raise InputError(
                "question is empty once tokenized (only control or zero-width characters)", remedy="give some text"
            )
        return self._windows(asked, context, lengths, align_to_words, within)

    def _lengths(
        self, max_seq_len: int | None = None, doc_stride: int | None = None, max_question_len: int | None = None
    ) -> dict[str, int]:
        return {
            "max_seq_len": self._length("max_seq_len", max_seq_len, self.max_seq_len, most=self.longest_window),
            "doc_stride": self._length("doc_stride", doc_stride, self.defaults.doc_stride, least=0),
            "max_question_len": self._length("max_question_len", max_question_len, self.defaults.max_question_len),
        }

    def _windows(
        self, question: Tokens, context: str, lengths: dict[str, int], align_to_words: bool, within: Within
    ) -> Iterator[Window]:
        if len(context) <= PIECE:
            pieces: Iterable[Tokens] = [self._short_context(context, align_to_words, within)]
        else:
            pieces = tokenize(self.tokenizer, context, align=align_to_words, within=within)
        if not self._told:
            pieces = self._look_at_first(pieces, context)
        for window in self._make_windows(question, pieces, lengths):
            if not window.context_tokens:
                raise InputError(
                    "context is empty once tokenized (only control or zero-width characters)", remedy="give some text"
                )
            yield window

    def _make_windows(self, question: Tokens, pieces: Iterable[Tokens], lengths: dict[str, int]) -> Iterator[Window]:
        types = self.manifest.model.token_types > 1
        return make_windows(question, pieces, self.tokenizer.template, **lengths, token_types=types)

    def _look_at_first(self, pieces: Iterable[Tokens], context: str) -> Iterator[Tokens]:
        """Pass pieces on; warn, once, if the first shows that the tokenizer does not know the language."""
        for number, tokens in enumerate(pieces):
            problem = None
            if number == 0 and tokens is not self._looked_at:
                self._looked_at = tokens  # the next question is often about the same context
                problem = reading_problem(self.tokenizer, tokens, context)
            if problem is not None:
                self._told = True
                languages = ", ".join(self.manifest.model.languages or ()) or "does not say"
                _logger.warning(
                    "context: %s; answers will be poor: was the model trained on its language (model card: %s)?",
                    problem,
                    languages,
                )
            yield tokens

    def forget_contexts(self) -> None:
        """Let go of the tokens of the last contexts, which are kept in case they are asked about again."""
        self._short_context.cache_clear()

    def answers(
        self,
        selection: Selection,
        context: str,
        *,
        top_k: int,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        partial: bool = False,
    ) -> list[Answer]:
        """Turn spans into answers, with "none" first where SQuAD 2.0's rule says so, or where none is sure enough."""
        threshold = self.defaults.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
        if threshold is not None and math.isnan(threshold):
            raise InputError("got nan", where="no_answer_threshold", wanted="a number")
        self.check_confidence(min_confidence)
        record, cut = self.manifest.confidence, selection.question_truncated
        spans = selection.spans if min_confidence is None else self.sure_spans(selection.spans, min_confidence)
        answers = [
            Answer(
                context[span.start : span.end],
                span.score,
                span.start,
                span.end,
                partial,
                cut,
                None if record is None else answer_confidence(record, span),
            )
            for span in spans
        ]
        if not answers or (threshold is not None and selection.null_margin > threshold):
            none = None if record is None else none_confidence(record, selection)
            answers.insert(0, Answer("", selection.null_score, 0, 0, partial, cut, none))
        return answers[:top_k]

    def sure_spans(self, spans: Iterable[Span], least: float) -> tuple[Span, ...]:
        """Return the spans that have at least this confidence. Raises what `check_confidence` raises."""
        self.check_confidence(least)
        record = self.manifest.confidence
        assert record is not None
        return tuple(span for span in spans if answer_confidence(record, span) >= least)

    def check_confidence(self, least: float | None) -> None:
        """Raise InputError for a least confidence that is none, or that this bundle's answers cannot be held to."""
        if least is None:
            return
        if not 0 <= least <= 1:
            raise InputError(f"got {least}", where="min_confidence", wanted="0 to 1")
        if self.manifest.confidence is None:
            raise InputError(
                "this bundle has no confidence",
                where="min_confidence",
                remedy="fit one with edge-qa calibrate-confidence",
            )

    def _max_answer_len(self, given: int | None) -> int:
        return self._length("max_answer_len", given, self.defaults.max_answer_len)

    @staticmethod
    def _length(name: str, given: int | None, default: int, *, least: int = 1, most: int | None = None) -> int:
        if given is None:
            return default
        if given < least:
            raise InputError(f"got {given}", where=name, wanted=f"at least {least}")
        if most is not None and given > most:
            raise InputError(f"got {given}, the model takes at most {most}", where=name)
        return given


def _tokenize_whole(tokenizer: TextTokenizer, context: str, align_to_words: bool, within: Within) -> Tokens:
    (tokens,) = tokenize(tokenizer, context, align=align_to_words, within=within, piece=PIECE)
    return tokens


def _compiler(
    threads: int | None, precision: "ComputePrecision", cache: str | os.PathLike[str] | None
) -> "Callable[..., Engine]":
    # Imported here, because OpenVINO comes with it: `load` reads the bundle meanwhile.
    from edge_qa.inference.engine import Engine

    return partial(Engine, threads=threads, precision=precision, cache=cache)
