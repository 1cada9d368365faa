"""The rank of an answer and its confidence, worked out by hand."""

import math

import pytest

from edge_qa.bundle.manifest import ConfidenceRecord, DocumentsRecord
from edge_qa.documents.closeness import Closeness
from edge_qa.documents.found import IndexedFile, Passage
from edge_qa.documents.ranking import candidate, document_confidence, document_none_confidence, ranked, terms_of
from edge_qa.inference.spans import Span

FILE = IndexedFile("/a.txt", "0" * 64, 9, "text", "a", 9, ())
WEIGHTS = {
    "constant": -2.0,
    "margin": 0.25,
    "lead": 0.5,
    "length": -0.125,
    "closeness": 0.1,
    "missing": -0.2,
    "gap": 0.3,
}
RECORD = DocumentsRecord(
    10,
    1.0,
    ConfidenceRecord(WEIGHTS, {name: -value for name, value in WEIGHTS.items()}, "d", "", 0, 2, 0.0, (), (), None),
)


def one(text: str, logit: float, bm25: float, *, rival: float = 0.0, missing: float = 0.0):
    passage = Passage(FILE, 0, "", text, Closeness(bm25, missing=missing))
    span = Span(0, len(text), logit, 0.5, null_logit=-1.0, rival_logit=rival)
    return candidate(passage, span, question_truncated=False)


def test_the_rank_is_margin_and_weighed_closeness():
    first = one("one", 4.0, 10.0)
    assert first.terms["closeness"] == pytest.approx(3.1)  # 0.31 of BM25
    assert first.rank(1.0) == pytest.approx(5.0 + 3.1)
    assert first.rank(0.5) == pytest.approx(5.0 + 1.55)
    second = one("two", 5.0, 5.0)
    assert [each.text for each in ranked([first, second], 1.0)] == ["one", "two"]
    assert [each.text for each in ranked([first, second], 0.1)] == ["two", "one"]


def test_the_gap_is_to_the_next_answer_that_says_something_else():
    best, same, other = one("Ada  Q", 9.0, 0), one("ada q", 7.0, 0), one("Ben", 4.0, 0)
    order = ranked([other, same, best], 1.0)
    assert [terms_of(place, order, 1.0)["gap"] for place in range(3)] == [5.0, 3.0, -5.0]
    assert terms_of(0, [best], 1.0)["gap"] == 20.0


def test_the_confidence_is_the_logistic_function_of_the_terms():
    order = ranked([one("four", 4.0, 10.0, rival=1.5, missing=2.0), one("two", 1.0, 10.0)], 1.0)
    value = -2 + 0.25 * 5 + 0.5 * 2.5 - 0.125 * math.log(4) + 0.1 * 3.1 - 0.2 * 2 + 0.3 * 3
    terms = terms_of(0, order, 1.0)
    assert document_confidence(RECORD, terms) == pytest.approx(1 / (1 + math.exp(-value)))
    assert document_none_confidence(RECORD, terms) == pytest.approx(1 / (1 + math.exp(value)))
