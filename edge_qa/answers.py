"""Answers, and how they are made of the spans that were found."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edge_qa.bundle.manifest import ConfidenceRecord, Manifest
from edge_qa.errors import InputError
from edge_qa.inference.confidence import answer_confidence, none_confidence
from edge_qa.inference.spans import Selection, Span


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


def answers_of(
    selection: Selection,
    context: str,
    manifest: Manifest,
    *,
    top_k: int,
    no_answer_threshold: float | None = None,
    min_confidence: float | None = None,
    partial: bool = False,
) -> list[Answer]:
    """Turn spans into answers, with "none" first where SQuAD 2.0's rule says so, or where none is sure enough.

    manifest: the bundle's, for its confidence and for the threshold that answers where none is given.
    """
    threshold = manifest.defaults.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
    if threshold is not None and math.isnan(threshold):
        raise InputError("got nan", where="no_answer_threshold", wanted="a number")
    record, cut = manifest.confidence, selection.question_truncated
    spans = selection.spans if min_confidence is None else sure_spans(selection.spans, record, min_confidence)
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


def sure_spans(spans: Iterable[Span], record: ConfidenceRecord | None, least: float) -> tuple[Span, ...]:
    """Return the spans that have at least this confidence. Raises what `check_confidence` raises."""
    check_confidence(record, least)
    assert record is not None
    return tuple(span for span in spans if answer_confidence(record, span) >= least)


def check_confidence(record: ConfidenceRecord | None, least: float | None) -> None:
    """Raise InputError for a least confidence that is none, or that a bundle's answers cannot be held to."""
    if least is None:
        return
    if not 0 <= least <= 1:
        raise InputError(f"got {least}", where="min_confidence", wanted="0 to 1")
    if record is None:
        raise InputError(
            "this bundle has no confidence",
            where="min_confidence",
            remedy="fit one with edge-qa calibrate-confidence",
        )
