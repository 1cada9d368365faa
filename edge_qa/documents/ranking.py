"""Which of the answers that several passages give is best, and how sure it is.

A probability that is normalised inside one passage says nothing between passages. The rank of an answer is the
model's margin (the logit of the span less that of "none" in the same passage) and, weighed, how close the passage is
to the question. How sure the best one is depends on both, on what the question asks for that its passage lacks, and
on how far behind the next different answer is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_qa.bundle.manifest import DOCUMENT_TERMS, DocumentsRecord
from edge_qa.documents.found import Passage
from edge_qa.inference.confidence import SIGNS, evidence, probabilities
from edge_qa.inference.spans import Span

# What closeness counts beside the margin in a bundle that has no weight of its own: as fitted for the carried model.
CLOSENESS = 1.0
# Of rank. More of a gap says no more; a question with one answer has this much.
_LARGEST_GAP = 20.0
# By the names of the terms: 1 where more of it makes an answer surer, -1 where less does.
DOCUMENT_SIGNS = {**SIGNS, "closeness": 1, "missing": -1, "gap": 1}
assert set(DOCUMENT_SIGNS) | {"constant"} == set(DOCUMENT_TERMS)


@dataclass(frozen=True)
class Candidate:
    """A span of a passage as an answer. terms: of `evidence`, without those that compare it with other candidates."""

    passage: Passage
    span: Span
    question_truncated: bool
    terms: Mapping[str, float]

    @property
    def text(self) -> str:
        """What the span says."""
        return self.passage.text[self.span.start : self.span.end]

    @property
    def key(self) -> str:
        """The text as it compares with others: case and white space say nothing."""
        return " ".join(self.text.casefold().split())

    def rank(self, closeness: float) -> float:
        """Return what candidates are sorted by. closeness: what that counts beside the margin."""
        return self.terms["margin"] + closeness * self.terms["closeness"]


def candidate(passage: Passage, span: Span, *, question_truncated: bool) -> Candidate:
    """Return a span of a passage with what speaks for it."""
    terms = {**evidence(span), "closeness": passage.closeness.score, "missing": passage.closeness.missing}
    return Candidate(passage, span, question_truncated, terms)


def ranked(candidates: Sequence[Candidate], closeness: float) -> list[Candidate]:
    """Return the candidates best first; of equals, as they came."""
    return sorted(candidates, key=lambda one: -one.rank(closeness))


def terms_of(place: int, candidates: Sequence[Candidate], closeness: float) -> dict[str, float]:
    """Return what the confidence of one of the ranked candidates is a function of, by the names of its terms.

    gap: its rank less that of the best candidate that says something else; below 0 for one that is not the best.
    """
    one = candidates[place]
    other = next((other for other in candidates if other.key != one.key), None)
    gap = _LARGEST_GAP if other is None else one.rank(closeness) - other.rank(closeness)
    return {**one.terms, "gap": max(-_LARGEST_GAP, min(_LARGEST_GAP, gap))}


def document_confidence(record: DocumentsRecord, terms: Mapping[str, float]) -> float:
    """Return the probability that an answer from documents is right, 0..1."""
    return _probability(record.confidence.answer, terms)


def document_none_confidence(record: DocumentsRecord, terms: Mapping[str, float]) -> float:
    """Return the probability that the documents hold no answer, 0..1. terms: of the best candidate."""
    return _probability(record.confidence.none, terms)


def _probability(weights: Mapping[str, float], terms: Mapping[str, float]) -> float:
    logit = weights["constant"] + sum(weights[name] * value for name, value in terms.items())
    return float(probabilities(logit)) if math.isfinite(logit) else 0.0
