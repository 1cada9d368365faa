"""Questions and contexts -> columns, and the packing of texts in the Open Inference Protocol."""

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.integrations.servers.columns import answer_columns, packed_texts, unpacked_texts
from tests.conftest import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"


@pytest.fixture(scope="module")
def answerer():
    return QuestionAnswerer.load(BUNDLE)


def test_columns_hold_what_the_answerer_says(answerer):
    pairs = [("When was it lit?", "It was lit in 1871."), ("Who kept it?", "Märta Lind kept it for forty years.")]
    columns = answer_columns(answerer, [pairs[0][0], pairs[1][0].encode()], [pairs[0][1], pairs[1][1].encode()])
    answers = answerer.answer_many(pairs)
    assert list(columns) == ["answer", "score", "start", "end"]
    assert columns["answer"].tolist() == ["1871", "Märta Lind"]
    assert columns["score"].tolist() == [answer.score for answer in answers]
    assert (columns["score"].dtype, columns["start"].dtype) == (np.float64, np.int64)
    assert list(zip(columns["start"].tolist(), columns["end"].tolist(), strict=True)) == [(14, 18), (0, 10)]


@pytest.mark.parametrize(
    ("questions", "contexts", "said"),
    [
        (["When?"], [], "1 questions and 0 contexts"),
        (["When?", " "], ["In 1900.", "In 1900."], r"question\[1\]: is blank"),
        (["When?"], [b"a\xff"], r"context\[0\]: is no UTF-8 \(invalid start byte at byte 1\)"),
        (["When\ud800?"], ["In 1900."], "surrogate"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_place(answerer, questions, contexts, said):
    with pytest.raises(InputError, match=said):
        answer_columns(answerer, questions, contexts)


def test_packing_by_hand():
    assert packed_texts(["ab", "", "é"]) == b"\x02\0\0\0ab" + b"\0\0\0\0" + b"\x02\0\0\0\xc3\xa9"
    assert unpacked_texts(b"\x02\0\0\0ab\0\0\0\0", "question") == [b"ab", b""]


@pytest.mark.parametrize("data", [b"\x03\0\0\0ab", b"\x01", b"\x01\0\0\0"])
def test_packed_texts_that_end_too_early_are_refused(data):
    with pytest.raises(InputError, match="question: is no packed BYTES"):
        unpacked_texts(data, "question")
