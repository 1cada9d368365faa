"""How sure an answer is: a fitted logistic function of what the model said in the answer's own window.

A probability that is normalised over everything that was read falls with every page that is read besides. What
stands here looks at the answer's own passage alone, read by itself (`edge_qa/text/surroundings.py`): the answer's
margin over "none" there, its lead over the best other span there, and its length. Other text changes nothing, as long
as the best answer stays the same one. Only of a passage that fits no window it is the answer's window that counts.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_qa.bundle.manifest import CONFIDENCE_TERMS, ConfidenceRecord
from edge_qa.inference.spans import Selection, Span

# Logits. More of a lead says no more.
_LARGEST_LEAD = 20.0
# By the names of the terms: 1 where more of it makes an answer surer, -1 where less does.
SIGNS = {"margin": 1, "lead": 1, "length": -1}
assert set(SIGNS) | {"constant"} == set(CONFIDENCE_TERMS)


def evidence(span: Span) -> dict[str, float]:
    """Return what the confidence of an answer is a function of, by the names of its terms.

    margin: logits over "none" in the answer's own passage. lead: logits over the best span there that shares no
    token with it, over "none" where there is no such span. length: log of its characters.
    """
    logit, null, rival = span.alone or (span.logit, span.null_logit, span.rival_logit)
    return {
        "margin": logit - null,
        "lead": max(-_LARGEST_LEAD, min(_LARGEST_LEAD, logit - (rival if math.isfinite(rival) else null))),
        "length": math.log(span.end - span.start),
    }


def answer_confidence(record: ConfidenceRecord, span: Span) -> float:
    """Return the probability that a span is a right answer, 0..1."""
    return _probability(record.answer, evidence(span))


def none_confidence(record: ConfidenceRecord, selection: Selection) -> float:
    """Return the probability that the text holds no answer, 0..1; 1 where it holds no span at all."""
    return _probability(record.none, evidence(selection.spans[0])) if selection.spans else 1.0


def _probability(weights: Mapping[str, float], values: Mapping[str, float]) -> float:
    return float(probabilities(sum(weights[name] * value for name, value in values.items()) + weights["constant"]))


def probabilities(logits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    result: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))
    return result
