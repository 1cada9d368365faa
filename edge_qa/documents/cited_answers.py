"""A question -> answers from an index, each with the place that it stands at.

Passages are found by their words, the model reads them, and the rank of an answer weighs both: the model's margin
(the logit of the span less that of "none" in the same passage) and the passage's BM25. A probability that is
normalised inside one passage says nothing between passages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_qa.answerer import Answer, QuestionAnswerer
from edge_qa.documents.found import Passage
from edge_qa.documents.sentences import sentence_around
from edge_qa.errors import InputError
from edge_qa.inference.spans import Selection
from edge_qa.text.windows import Window

# How many passages the model reads, unless told otherwise; see docs/guide/documents.md for the curve.
PASSAGES = 10
# Of BM25 beside the margin.
_BM25_WEIGHT = 0.8
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

    source: where it stands; None for "none". rank: what answers were sorted by, margin and BM25 together; higher
    is better, and only answers to one question compare; None for "none".
    """

    source: Source | None = None
    rank: float | None = None


@dataclass(frozen=True)
class _Candidate:
    passage: Passage
    start: int
    end: int
    rank: float
    score: float
    question_truncated: bool


def cited_answers(
    answerer: QuestionAnswerer,
    question: str,
    passages: Sequence[Passage],
    *,
    top_k: int = 1,
    max_answer_len: int | None = None,
    no_answer_threshold: float | None = None,
    max_question_len: int | None = None,
    budget: str | None = None,
) -> list[CitedAnswer]:
    """Return the best answers in some passages; `QuestionAnswerer.ask` says more."""
    if top_k < 1:
        raise InputError(f"got {top_k}", where="top_k", wanted="at least 1")

    def windows(passage: Passage) -> Iterator[Window]:
        return answerer.windows(question, passage.text, max_question_len=max_question_len, within="block")

    outcomes = answerer.outcomes(
        passages,
        windows,
        top_k=1 if top_k == 1 else _SPANS_PER_ANSWER * top_k,
        max_answer_len=max_answer_len,
        budget=budget,
        prompt=False,
    )
    threshold = answerer.defaults.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
    candidates: list[_Candidate] = []
    for outcome in outcomes:
        selection = outcome.selection  # None of a passage of control characters alone, which has no tokens
        if selection is not None and (threshold is None or selection.null_margin <= threshold):
            candidates += _candidates(outcome.item, selection)
    candidates.sort(key=lambda one: -one.rank)
    return _answers(candidates, top_k)


def _candidates(passage: Passage, selection: Selection) -> list[_Candidate]:
    retrieval = _BM25_WEIGHT * passage.bm25
    return [
        _Candidate(
            passage,
            span.start,
            span.end,
            span.logit - selection.null_logit + retrieval,
            span.score,
            selection.question_truncated,
        )
        for span in selection.spans
    ]


def _answers(candidates: Sequence[_Candidate], top_k: int) -> list[CitedAnswer]:
    seen: set[str] = set()
    answers: list[CitedAnswer] = []
    for one in candidates:
        text = one.passage.text[one.start : one.end]
        answer = _cited(one, text)
        key = " ".join(text.casefold().split())
        if key not in seen and not any(_overlap(answer, other) for other in answers):
            seen.add(key)
            answers.append(answer)
        if len(answers) == top_k:
            break
    return answers or [CitedAnswer("", 0.0, 0, 0)]


def _overlap(one: CitedAnswer, other: CitedAnswer) -> bool:
    same = one.source is not None and other.source is not None and one.source.path == other.source.path
    return same and one.start < other.end and other.start < one.end


def _cited(one: _Candidate, text: str) -> CitedAnswer:
    passage, file = one.passage, one.passage.file
    begin, end = passage.start + one.start, passage.start + one.end
    sentence = sentence_around(passage.text, one.start, one.end)
    source = Source(
        path=file.path,
        sha256=file.sha256,
        title=file.title,
        heading=passage.heading,
        page=file.page(begin),
        start=begin,
        end=end,
        passage=(passage.start, passage.end),
        passage_start=one.start,
        passage_end=one.end,
        sentence=passage.text[slice(*sentence)],
        sentence_start=passage.start + sentence[0],
    )
    return CitedAnswer(
        text, one.score, begin, end, question_truncated=one.question_truncated, source=source, rank=one.rank
    )
