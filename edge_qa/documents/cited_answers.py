"""A question -> answers from an index, each with the place that it stands at.

Passages are found by their words, the model reads them, and the rank of an answer weighs both; see
`edge_qa/documents/ranking.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_qa.answerer import QuestionAnswerer
from edge_qa.answers import Answer
from edge_qa.documents.found import Passage
from edge_qa.documents.ranking import (
    CLOSENESS,
    Candidate,
    candidate,
    document_confidence,
    document_none_confidence,
    ranked,
    terms_of,
)
from edge_qa.documents.sentences import sentence_around
from edge_qa.errors import InputError
from edge_qa.text.windows import Window

# How many passages the model reads, unless told otherwise; see docs/guide/documents.md for the curve.
PASSAGES = 10
# Spans of one passage that are looked at for each answer wanted: many overlap, and then only the best one counts.
_SPANS_PER_ANSWER = 10


@dataclass(frozen=True)
class Source:
    """Where an answer stands.

    path, sha256: the file, and its content when it was indexed. page: from 1; None where there are no pages.
    start, end: code point offsets into the text of the file. passage: the passage's, and
    passage_start, passage_end: the answer's offsets into it.
    sentence: what stands around the answer, from `sentence_start` of the file's text.
    """

    path: str
    sha256: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    passage: tuple[int, int]
    passage_start: int
    passage_end: int
    sentence: str
    sentence_start: int


@dataclass(frozen=True, repr=False)
class CitedAnswer(Answer):
    """An answer from an index; start, end: code point offsets into the text of `source`.

    source: where it stands; None for "none". rank: what answers were sorted by, the model's margin and the closeness
    of the passage together; higher is better, and only answers to one question compare; None for "none".
    confidence: the probability that this answer is right, fitted for answers from documents, or for "none" that
    they hold none; None where the bundle has no such confidence.
    """

    source: Source | None = None
    rank: float | None = None


def cited_answers(
    answerer: QuestionAnswerer,
    question: str,
    passages: Sequence[Passage],
    *,
    top_k: int = 1,
    max_answer_len: int | None = None,
    no_answer_threshold: float | None = None,
    min_confidence: float | None = None,
    max_question_len: int | None = None,
    budget: str | None = None,
) -> list[CitedAnswer]:
    """Return the best answers in some passages; `QuestionAnswerer.ask` says more."""
    if top_k < 1:
        raise InputError(f"got {top_k}", where="top_k", wanted="at least 1")
    least = _least(answerer, min_confidence)
    record = answerer.manifest.documents
    closeness = CLOSENESS if record is None else record.closeness
    candidates = ranked(
        read_passages(
            answerer,
            question,
            passages,
            spans=1 if top_k == 1 else _SPANS_PER_ANSWER * top_k,
            max_answer_len=max_answer_len,
            no_answer_threshold=no_answer_threshold,
            max_question_len=max_question_len,
            budget=budget,
        ),
        closeness,
    )
    seen: set[str] = set()
    answers: list[CitedAnswer] = []
    for place, one in enumerate(candidates):
        sure = None if record is None else document_confidence(record, terms_of(place, candidates, closeness))
        if sure is not None and sure < least:
            continue
        answer = _cited(one, one.rank(closeness), sure)
        if one.key not in seen and not any(_overlap(answer, other) for other in answers):
            seen.add(one.key)
            answers.append(answer)
        if len(answers) == top_k:
            break
    if answers:
        return answers
    none = None
    if record is not None:
        none = document_none_confidence(record, terms_of(0, candidates, closeness)) if candidates else 1.0
    return [CitedAnswer("", 0.0, 0, 0, confidence=none)]


def read_passages(
    answerer: QuestionAnswerer,
    question: str,
    passages: Sequence[Passage],
    *,
    spans: int = 1,
    max_answer_len: int | None = None,
    no_answer_threshold: float | None = None,
    max_question_len: int | None = None,
    budget: str | None = None,
) -> list[Candidate]:
    """Return up to `spans` candidates of each passage, in the order of the passages; the rest as in `ask`."""

    def windows(passage: Passage) -> Iterator[Window]:
        return answerer.windows(question, passage.text, max_question_len=max_question_len, within="block")

    outcomes = answerer.outcomes(
        passages,
        windows,
        top_k=spans,
        max_answer_len=max_answer_len,
        budget=budget,
        prompt=False,
        rivals=True,
    )
    threshold = answerer.defaults.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
    found: list[Candidate] = []
    for outcome in outcomes:
        selection = outcome.selection  # None of a passage of control characters alone, which has no tokens
        if selection is not None and (threshold is None or selection.null_margin <= threshold):
            found += [
                candidate(outcome.item, span, question_truncated=selection.question_truncated)
                for span in selection.spans
            ]
    return found


def _least(answerer: QuestionAnswerer, given: float | None) -> float:
    """The least confidence of an answer: what was asked for, or else the limit that the bundle knows."""
    record = answerer.manifest.documents
    if given is None:
        limit = None if record is None else record.confidence.limit
        return 0.0 if limit is None else limit.min_confidence
    if not 0 <= given <= 1:
        raise InputError(f"got {given}", where="min_confidence", wanted="0 to 1")
    if record is None and given > 0:
        raise InputError(
            "this bundle has no confidence for answers from documents",
            where="min_confidence",
            remedy="fit one with edge-qa calibrate-confidence --documents",
        )
    return given


def _overlap(one: CitedAnswer, other: CitedAnswer) -> bool:
    same = one.source is not None and other.source is not None and one.source.path == other.source.path
    return same and one.start < other.end and other.start < one.end


def _cited(one: Candidate, rank: float, confidence: float | None) -> CitedAnswer:
    passage, file, span = one.passage, one.passage.file, one.span
    begin, end = passage.start + span.start, passage.start + span.end
    sentence = sentence_around(passage.text, span.start, span.end)
    source = Source(
        path=file.path,
        sha256=file.sha256,
        title=file.title,
        heading=passage.heading,
        page=file.page(begin),
        start=begin,
        end=end,
        passage=(passage.start, passage.end),
        passage_start=span.start,
        passage_end=span.end,
        sentence=passage.text[slice(*sentence)],
        sentence_start=passage.start + sentence[0],
    )
    return CitedAnswer(
        one.text,
        span.score,
        begin,
        end,
        question_truncated=one.question_truncated,
        confidence=confidence,
        source=source,
        rank=rank,
    )
