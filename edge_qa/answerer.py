"""QuestionAnswerer: text in, answers with offsets out."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, overload

from edge_qa.answers import Answer, answers_of, check_confidence, sure_spans
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET, Defaults, Manifest
from edge_qa.errors import InputError
from edge_qa.inference.batching import BATCH, Outcome, select_many
from edge_qa.inference.budget_engines import BudgetEngines
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.cold_start import read_while_importing
from edge_qa.inference.cutting import Cutter, length_or_default
from edge_qa.inference.engine_choice import EngineName, may_be_native
from edge_qa.inference.native.engine import NativeEngine
from edge_qa.inference.reading import Limits, Reading, Shortlisting
from edge_qa.inference.spans import Selection, Span
from edge_qa.inference.stopwatch import Stopwatch
from edge_qa.progress import Progress, no_progress
from edge_qa.text.blocks import Within
from edge_qa.text.tokenizer import TextTokenizer, bundle_tokenizer
from edge_qa.text.windows import Window

if TYPE_CHECKING:
    from edge_qa.documents.cited_answers import CitedAnswer
    from edge_qa.documents.index import DocumentIndex
    from edge_qa.inference.engine import ComputePrecision, Engine

Item = TypeVar("Item")


@dataclass(frozen=True)
class _How:
    """What the answers to many questions have in common; see `QuestionAnswerer.answer`."""

    max_answer_len: int | None
    no_answer_threshold: float | None
    min_confidence: float | None
    max_question_len: int | None
    within: Within
    budget: str | None


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
        self._cutter = Cutter(self.tokenizer, self.manifest)
        self._engines = BudgetEngines(bundle, engine, threads=threads, precision=precision, cache=cache, budget=budget)
        self.engine: Engine | NativeEngine = self._engines.first

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
        self._engines.close()
        self._cutter.forget_contexts()

    def warm_up(self, *, budget: str | None = None) -> None:
        """Run every input length once; the first question is then as fast as the rest."""
        self._engines.of(budget).warm_up(self.max_seq_len)

    @property
    def defaults(self) -> Defaults:
        """The settings that an answer uses unless told otherwise."""
        return self.manifest.defaults

    @property
    def max_seq_len(self) -> int:
        """The most tokens of one window."""
        return self._cutter.max_seq_len

    @property
    def longest_window(self) -> int:
        """The most tokens that the model takes at once."""
        return self._cutter.longest_window

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
        longest = length_or_default("max_answer_len", max_answer_len, self.defaults.max_answer_len)
        engine = self._engines.of(budget)
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
        return self._cutter.closer_looks(
            selection,
            question,
            context,
            max_question_len=max_question_len,
            within=within,
            align_to_words=align_to_words,
        )

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
        return self._cutter.windows(
            question,
            context,
            max_seq_len=max_seq_len,
            doc_stride=doc_stride,
            max_question_len=max_question_len,
            align_to_words=align_to_words,
            within=within,
        )

    def forget_contexts(self) -> None:
        """Let go of the tokens of the last contexts, which are kept in case they are asked about again."""
        self._cutter.forget_contexts()

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
        return answers_of(
            selection,
            context,
            self.manifest,
            top_k=top_k,
            no_answer_threshold=no_answer_threshold,
            min_confidence=min_confidence,
            partial=partial,
        )

    def sure_spans(self, spans: Iterable[Span], least: float) -> tuple[Span, ...]:
        """Return the spans that have at least this confidence. Raises what `check_confidence` raises."""
        return sure_spans(spans, self.manifest.confidence, least)

    def check_confidence(self, least: float | None) -> None:
        """Raise InputError for a least confidence that is none, or that this bundle's answers cannot be held to."""
        check_confidence(self.manifest.confidence, least)
