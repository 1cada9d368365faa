"""Answers that stay inside the borders a reader sees, in every way of asking."""

import pytest

from edge_qa import QuestionAnswerer, pipeline
from edge_qa.errors import InputError
from edge_qa.text.blocks import block_starts

# The carried model takes the name to go on after the blank line.
QUESTION = "Who painted the bridge?"
TEXT = "The bridge was painted by\n\nJohn\n\nMiller and Sons\n\nin 1911."


def crosses(answer) -> bool:
    return any(answer.start < place < answer.end for place in block_starts(TEXT).tolist())


@pytest.fixture(scope="module")
def qa(fp16_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(fp16_bundle)


def test_the_old_way_crosses_a_paragraph_and_the_new_one_does_not(qa):
    old, new = qa.answer(QUESTION, TEXT, within="text"), qa.answer(QUESTION, TEXT)
    assert crosses(old)
    assert not crosses(new)
    assert new.text == TEXT[new.start : new.end]
    assert new.score < old.score
    # It is the best of the old ones that cross none.
    others = [answer for answer in qa.answer(QUESTION, TEXT, within="text", top_k=30) if not crosses(answer)]
    assert new == others[0]
    assert not any(crosses(answer) for answer in qa.answer(QUESTION, TEXT, top_k=30))


def test_many_questions_keep_to_the_borders_too(qa):
    new = qa.answer(QUESTION, TEXT)
    assert qa.answer_many([(QUESTION, TEXT)])[0].text == next(qa.stream([(QUESTION, TEXT)])).text == new.text
    old = qa.answer(QUESTION, TEXT, within="text").text
    assert qa.answer_many([(QUESTION, TEXT)], within="text")[0].text == old
    assert next(qa.stream([(QUESTION, TEXT)], within="text")).text == old


def test_the_pipeline_answers_as_it_always_did(qa):
    old = qa.answer(QUESTION, TEXT, within="text", max_answer_len=15)
    assert pipeline(model=qa)(question=QUESTION, context=TEXT)["answer"] == old.text


def test_another_border_is_refused(qa):
    with pytest.raises(InputError, match="within: got 'line', wanted 'block' or 'text'"):
        qa.answer(QUESTION, TEXT, within="line")
