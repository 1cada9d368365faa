"""EdgeQAReader: a Haystack component that finds answers in documents, with their offsets (the extra `haystack`)."""

import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.documents.sentences import sentence_around
from edge_qa.errors import InputError, missing_extra
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.confidence import answer_confidence
from edge_qa.inference.engine_choice import EngineName
from edge_qa.inference.spans import Selection, Span
from edge_qa.text.windows import Window

try:
    from haystack import Document, ExtractedAnswer, component, default_from_dict, default_to_dict
except ModuleNotFoundError as error:
    raise missing_extra(error, "haystack") from None

_logger = logging.getLogger(__name__)

# What a saved component is made again from.
_OPTIONS = (
    *("bundle", "top_k", "no_answer_threshold", "min_confidence", "retriever_weight", "max_answer_len"),
    *("max_question_len", "within", "budget", "threads", "precision", "engine", "cache"),
)
# Spans of one document that are looked at for each answer wanted: many overlap, and then only the best one counts.
_SPANS_PER_ANSWER = 10


@dataclass(frozen=True)
class _Candidate:
    """A span of a document; margin: its logit over that of "none" there; rank: what answers are sorted by."""

    document: Document
    span: Span
    margin: float
    rank: float
    question_truncated: bool

    def overlaps(self, other: "_Candidate") -> bool:
        same = self.document is other.document
        return same and self.span.start < other.span.end and other.span.start < self.span.end


@component
class EdgeQAReader:
    """Finds the answers to a query in documents, best first, in the place of Haystack's ExtractiveReader.

    Documents may be of any length. The bundle is loaded by `warm_up`, or by the first run; its files must not
    change before that.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        top_k: int = 3,
        no_answer_threshold: float | None = None,
        min_confidence: float | None = None,
        retriever_weight: float = 0.0,
        max_answer_len: int | None = None,
        max_question_len: int | None = None,
        within: Literal["block", "text"] = "block",
        budget: str = FULL_BUDGET,
        threads: int | None = None,
        precision: Literal["f32", "bf16"] = "f32",
        engine: EngineName = "auto",
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        """Say which bundle answers, and how; nothing is read yet.

        top_k: how many answers a run gives at most. retriever_weight: how much of a document's own score is added to
        the margin by which answers are sorted; 0 for a retriever whose scores mean nothing beside it.
        no_answer_threshold, min_confidence, max_answer_len, max_question_len, within: see `QuestionAnswerer.answer`.
        budget, threads, precision, engine, cache: see `QuestionAnswerer.load`.
        Raises InputError for a top_k or a retriever_weight that is none.
        """
        _check_top_k(top_k)
        if not math.isfinite(retriever_weight):
            raise InputError(f"got {retriever_weight}", where="retriever_weight", wanted="a number")
        self.bundle = os.fspath(bundle)
        self.top_k, self.retriever_weight = top_k, retriever_weight
        self.no_answer_threshold, self.min_confidence = no_answer_threshold, min_confidence
        self.max_answer_len, self.max_question_len = max_answer_len, max_question_len
        self.within = within
        self.budget, self.threads, self.precision, self.engine = budget, threads, precision, engine
        self.cache = None if cache is None else os.fspath(cache)
        self._answerer: QuestionAnswerer | None = None
        self._loading = threading.Lock()
        # Not as a decorator of `run`: that would hide its types.
        component.set_output_types(self, answers=list[ExtractedAnswer])

    def to_dict(self) -> dict[str, Any]:
        """Return the component as plain values, for a pipeline that is saved."""
        saved: dict[str, Any] = default_to_dict(self, **{name: getattr(self, name) for name in _OPTIONS})
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "EdgeQAReader":
        """Return the component that `to_dict` wrote; the bundle is looked for when it is loaded."""
        made: EdgeQAReader = default_from_dict(cls, data)
        return made

    def warm_up(self) -> None:
        """Load the bundle, once. Raises BundleError, and what else `QuestionAnswerer.load` raises."""
        self._loaded()

    def close(self) -> None:
        """Free the model; the next run loads the bundle again."""
        with self._loading:
            if self._answerer is not None:
                self._answerer.close()
            self._answerer = None

    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[Literal["answers"], list[ExtractedAnswer]]:
        """Return `{"answers": [...]}`: ExtractedAnswers to the query, best first, no two that overlap.

        An answer has its `data` at `document.content[document_offset.start:document_offset.end]`, offsets in code
        points, and the sentence around it as `context`, with `context_offset` into that. `score`, 0..1, is the
        logistic function of the margin over "none" in the same document (and of the document's score, where it has
        a weight): it compares between documents and is not calibrated. `meta` holds the `margin` in logits, the
        `confidence`, None where the bundle has none, and `answer_page_number` where the document has a page_number.
        If no answer is above the thresholds, there is one without data and document.
        A document without text, or with text that cannot be read, is passed over with a warning.
        Raises InputError for a query that is blank or no text.
        """
        wanted = self.top_k if top_k is None else top_k
        _check_top_k(wanted)
        answerer = self._loaded()
        answerer.check_confidence(self.min_confidence)
        # The query alone: what is wrong with it is no matter of the documents.
        next(answerer.windows(query, "a", max_question_len=self.max_question_len, within=self.within))
        candidates, found = self._candidates(answerer, query, documents, wanted)
        chosen = _best(candidates, wanted)
        if not chosen and found:
            none = -max(one.rank for one in found)
            return {"answers": [ExtractedAnswer(query=query, score=_logistic(none), meta={"margin": none})]}
        return {"answers": [self._answer(answerer, query, one) for one in chosen]}

    def _loaded(self) -> QuestionAnswerer:
        with self._loading:
            if self._answerer is None:
                self._answerer = QuestionAnswerer.load(
                    self.bundle,
                    threads=self.threads,
                    precision=self.precision,
                    cache=self.cache,
                    budget=self.budget,
                    engine=self.engine,
                )
            return self._answerer

    def _candidates(
        self, answerer: QuestionAnswerer, query: str, documents: Sequence[Document], wanted: int
    ) -> tuple[list[_Candidate], list[_Candidate]]:
        """The spans above the thresholds, and all of them."""

        def windows(document: Document) -> Iterator[Window]:
            return answerer.windows(query, document.content, max_question_len=self.max_question_len, within=self.within)

        def closer(document: Document, selection: Selection) -> Iterator[CloserLook]:
            return answerer.closer_looks(
                selection, query, document.content, max_question_len=self.max_question_len, within=self.within
            )

        outcomes = answerer.outcomes(
            [document for document in documents if _has_text(document)],
            windows,
            top_k=1 if wanted == 1 else _SPANS_PER_ANSWER * wanted,
            max_answer_len=self.max_answer_len,
            prompt=False,
            closer=closer,
        )
        threshold = self.no_answer_threshold
        threshold = answerer.defaults.no_answer_threshold if threshold is None else threshold
        sure: list[_Candidate] = []
        found: list[_Candidate] = []
        for outcome in outcomes:
            document, selection = outcome.item, outcome.selection
            if selection is None:
                _logger.warning("document %s: %s; it is passed over", document.id, outcome.error)
                continue
            retrieval = self.retriever_weight * (document.score or 0.0)
            for span in selection.spans:
                margin = span.logit - selection.null_logit
                one = _Candidate(document, span, margin, margin + retrieval, selection.question_truncated)
                found.append(one)
                if (threshold is None or selection.null_margin <= threshold) and (
                    self.min_confidence is None or self._confidence(answerer, span) >= self.min_confidence
                ):
                    sure.append(one)
        return sure, found

    @staticmethod
    def _confidence(answerer: QuestionAnswerer, span: Span) -> float:
        assert answerer.manifest.confidence is not None  # check_confidence said so
        return answer_confidence(answerer.manifest.confidence, span)

    def _answer(self, answerer: QuestionAnswerer, query: str, one: _Candidate) -> ExtractedAnswer:
        span, content = one.span, one.document.content
        begin, end = sentence_around(content, span.start, span.end)
        record = answerer.manifest.confidence
        meta: dict[str, Any] = {
            "margin": one.margin,
            "confidence": None if record is None else answer_confidence(record, span),
        }
        if one.question_truncated:
            meta["question_truncated"] = True
        if isinstance(page := one.document.meta.get("page_number"), int):
            # Haystack's converters put a form feed between the pages of one document.
            meta["answer_page_number"] = page + content.count("\f", 0, span.start)
        return ExtractedAnswer(
            query=query,
            score=_logistic(one.rank),
            data=content[span.start : span.end],
            document=one.document,
            context=content[begin:end],
            document_offset=ExtractedAnswer.Span(span.start, span.end),
            context_offset=ExtractedAnswer.Span(span.start - begin, span.end - begin),
            meta=meta,
        )


def _check_top_k(top_k: int) -> None:
    if top_k < 1:
        raise InputError(f"got {top_k}", where="top_k", wanted="at least 1")


def _has_text(document: Document) -> bool:
    if document.content is None or not document.content.strip():
        _logger.warning("document %s: has no text; it is passed over", document.id)
        return False
    return True


def _best(candidates: Sequence[_Candidate], count: int) -> list[_Candidate]:
    """The best ones, no two that overlap."""
    chosen: list[_Candidate] = []
    for one in sorted(candidates, key=lambda one: -one.rank):
        if len(chosen) == count:
            break
        if not any(one.overlaps(other) for other in chosen):
            chosen.append(one)
    return chosen


def _logistic(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))  # 1 / (1 + exp(-value)), without overflow
