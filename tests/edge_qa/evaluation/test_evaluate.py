"""Scores of a data set with unanswerable questions, where a text may have no span at all."""

import numpy as np
import pytest

from edge_qa.answerer import QuestionAnswerer
from edge_qa.cli.evaluate import table
from edge_qa.evaluation import evaluate as evaluate_module
from edge_qa.evaluation.dataset import Example, read_dataset
from edge_qa.evaluation.evaluate import _finite, evaluate, shown_name
from edge_qa.evaluation.speed import Speed
from edge_qa.evaluation.squad_metric import best_no_answer_threshold
from edge_qa.system.machine import DISTURBED
from tests.support.layouts import flat, write
from tests.support.tiny import tiny_bundle


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


class Times:
    """CPU times of which other programs took so many cores."""

    def __init__(self, others):
        self.others = others

    def now(self):
        return self

    def others_since(self, begin):
        return self.others


@pytest.mark.parametrize(("others", "disturbed"), [(0.0, False), (1000.0, True)])
def test_what_was_measured_on_a_busy_machine_is_marked(tmp_path, monkeypatch, others, disturbed):
    monkeypatch.setattr(evaluate_module, "CPUTime", Times(others))
    answerers = [(name, QuestionAnswerer.load(tiny_bundle(tmp_path, seed=seed))) for name, seed in (("a", 1), ("b", 2))]
    data = read_dataset(write(tmp_path, flat()))
    results = evaluate(answerers, data, warm_up=False)
    assert [result.disturbed for result in results] == [disturbed] * 2
    assert [result.summary()["disturbed"] for result in results] == [disturbed] * 2
    assert results[0].speed == Speed(1.0, 1.0, 1.0)
    ratios = np.array(results[0].question_ms) / np.array(results[1].question_ms)
    assert results[1].summary()["speed"] == {"ratio": np.median(ratios), "low": ratios.min(), "high": ratios.max()}
    shown = table(results)
    assert str(results[1].speed) in shown
    assert shown.endswith(f"\nwarning: {DISTURBED}") == disturbed


def test_how_answers_were_compared_stands_in_the_scores(tmp_path):
    answerer = QuestionAnswerer.load(tiny_bundle(tmp_path))
    for language, wanted in ((None, None), ("zh", "mlqa-zh")):
        data = read_dataset(write(tmp_path, flat()), language=language)
        (result,) = evaluate([("a", answerer)], data, warm_up=False)
        assert result.record().settings.get("segmentation") == wanted
        assert (", answers compared by mlqa-zh" in table([result])) == (wanted is not None)


def test_a_table_names_the_budget_and_the_engine_that_are_not_the_usual_ones():
    assert shown_name("bundles/int8", "full", "openvino") == "bundles/int8"
    assert shown_name("bundles/int8", "fast", "openvino") == "bundles/int8 (fast)"
    assert shown_name("bundles/int8", "full", "native") == "bundles/int8 (native)"
    assert shown_name("bundles/int8", "fast", "native") == "bundles/int8 (fast, native)"
