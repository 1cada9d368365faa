"""Scores of a data set with unanswerable questions, where a text may have no span at all."""

from edge_qa.evaluation.dataset import Example
from edge_qa.evaluation.evaluate import _finite
from edge_qa.evaluation.squad_metric import best_no_answer_threshold


def test_a_text_without_a_span_is_the_least_answerable():
    margins = _finite({"a": 2.0, "b": float("inf"), "c": -1.0})
    assert margins == {"a": 2.0, "b": 3.0, "c": -1.0}
    assert _finite({"b": float("inf")}) == {"b": 1.0}
    examples = [
        Example("a", "Who?", "Ada.", ("Ada",)),
        Example("b", "Who?", "x" * 4000, ()),
        Example("c", "Who?", "Ada.", ("Ada",)),
    ]
    best = best_no_answer_threshold(examples, {"a": "Ada", "b": "", "c": "Ada"}, margins, metric="f1")
    assert (best.threshold, best.score) == (2.0, 100.0)
