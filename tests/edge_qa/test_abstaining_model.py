"""The carried model that says when there is no answer, on a text of another kind than it was trained on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_qa import QuestionAnswerer

BUNDLE = Path(__file__).parents[2] / "examples" / "models" / "minilm-squad-abstain-int8"
CONTRACT = """Service Agreement

1. Services. The Supplier cleans the offices.
2. Fees. The Customer pays EUR 4,750 per month.
3. Late payment. Interest of 2 % is charged.
4. Term. The agreement runs for two years.
"""


@pytest.fixture(scope="module")
def answerer() -> Iterator[QuestionAnswerer]:
    with QuestionAnswerer.load(BUNDLE) as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("question", "text"),
    [("What is the monthly fee?", "EUR 4,750"), ("How long does the contract run?", "two years")],
)
def test_it_does_not_doubt_what_a_contract_says(answerer, question, text):
    answer = answerer.answer(question, CONTRACT)
    assert answer.text == text
    assert answer.confidence > 0.3


@pytest.mark.parametrize("question", ["Who is the managing director?", "Which courts decide disputes?"])
def test_it_answers_nothing_where_a_contract_says_nothing(answerer, question):
    answer = answerer.answer(question, CONTRACT, min_confidence=0.3)
    assert answer.text == ""
