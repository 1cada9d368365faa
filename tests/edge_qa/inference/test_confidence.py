"""How sure an answer is: by hand, and whatever else was read."""

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_qa.bundle.manifest import ConfidenceRecord
from edge_qa.inference.confidence import answer_confidence, evidence, none_confidence, probabilities
from edge_qa.inference.spans import Alone, Selection, Span, SpanSelector
from edge_qa.text.windows import Window

RECORD = ConfidenceRecord(
    answer={"constant": -1.0, "margin": 0.5, "lead": 0.25, "length": -0.5},
    none={"constant": 1.0, "margin": -0.5, "lead": 0.0, "length": 0.0},
    dataset="d",
    dataset_sha256="0" * 64,
    seed=0,
    questions=1,
    expected_calibration_error=0.0,
    reliability=(),
    levels=(),
    limit=None,
)
SPAN = Span(10, 14, 7.0, 0.5, null_logit=3.0, rival_logit=5.0)


def test_it_is_the_logistic_function_of_the_three_terms():
    assert evidence(SPAN) == {"margin": 4.0, "lead": 2.0, "length": math.log(4)}
    # -1 + 0.5 * 4 + 0.25 * 2 - 0.5 * log 4
    assert answer_confidence(RECORD, SPAN) == pytest.approx(1 / (1 + math.exp(-(1.5 - 0.5 * math.log(4)))))
    assert none_confidence(RECORD, Selection((SPAN,), 3.0, 0.1)) == pytest.approx(1 / (1 + math.exp(1)))
    assert none_confidence(RECORD, Selection((), 3.0, 1.0)) == 1.0


def test_what_the_passage_alone_says_comes_before_the_window():
    alone = replace(SPAN, alone=Alone(9.0, 2.0, -math.inf))
    assert evidence(alone) == {"margin": 7.0, "lead": 7.0, "length": math.log(4)}


def test_without_a_rival_the_lead_is_that_over_none_and_has_an_end():
    assert evidence(replace(SPAN, rival_logit=-math.inf))["lead"] == 4.0
    assert evidence(replace(SPAN, rival_logit=-90.0))["lead"] == 20.0
    assert evidence(replace(SPAN, rival_logit=90.0))["lead"] == -20.0


def test_probabilities_of_large_logits_do_not_overflow():
    with np.errstate(over="raise"):
        assert probabilities(np.array([-800.0, 0.0, 40.0])).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_what_is_read_besides_changes_nothing_as_long_as_the_answer_is_the_same():
    random = np.random.default_rng(1)

    def window(place: int) -> Window:
        ids = np.zeros(21, np.int64)
        begins = 3 * (np.arange(20) + place)
        return Window(ids, ids, 1, place, np.stack([begins, begins + 2], axis=1))

    logits = random.normal(size=(60, 2, 21)).astype(np.float32)
    logits[0, 0, 5] += 12
    logits[0, 1, 6] += 12
    seen = []
    for count in (1, 10, 60):
        selector = SpanSelector(1, 5, rivals=True)
        for number in range(count):
            selector.add(window(20 * number), *logits[number])
        (span,) = selector.result().spans
        seen.append((span.start, span.score, answer_confidence(RECORD, span)))
    assert [start for start, _, _ in seen] == [12] * 3
    assert seen[0][1] > seen[1][1] > seen[2][1]  # the score falls with all that is read
    assert len({confidence for _, _, confidence in seen}) == 1
