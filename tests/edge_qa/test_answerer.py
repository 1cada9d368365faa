"""Answers of the carried model."""

import pytest

from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError

CONTEXT = "The Analytical Engine was described by Ada Lovelace in 1843, in London. Charles Babbage never built it."


@pytest.fixture(scope="module")
def qa(fp16_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(fp16_bundle)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Who described the Analytical Engine?", "Ada Lovelace"),
        ("When was it described?", "1843"),
        ("Who never built it?", "Charles Babbage"),
    ],
)
def test_plain_questions(qa, question, text):
    answer = qa.answer(question, CONTEXT)
    assert answer.text == text == CONTEXT[answer.start : answer.end]
    assert 0.5 < answer.score <= 1


def test_top_k_gives_that_many_different_answers_best_first(qa):
    answers = qa.answer("Who described it?", CONTEXT, top_k=5)
    assert len({(a.start, a.end) for a in answers}) == 5
    assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
    assert answers[0] == qa.answer("Who described it?", CONTEXT)
    assert qa.answer("Who described it?", CONTEXT, top_k=1) == answers[:1]


def test_answer_many_keeps_the_order(qa):
    pairs = [("When?", CONTEXT), ("Who never built it?", CONTEXT), ("Where?", CONTEXT)]
    assert qa.answer_many(pairs) == [qa.answer(*pair) for pair in pairs]


def test_the_best_answer_of_all_windows_wins(qa):
    filler = "Nothing of note happened on that day, and the records of the town are silent about it. " * 60
    context = filler + "Zanzibar Lighthouse was opened in 1907 by Mary Dunmore. " + filler
    answer = qa.answer("Who opened Zanzibar Lighthouse?", context)
    assert answer.text == "Mary Dunmore"
    assert context[answer.start : answer.end] == answer.text
    assert len(list(qa.windows("Who opened it?", context))) > 5


def test_offsets_are_code_points_of_the_text_as_given(qa):
    context = "\U0001f680 Das Café wurde 1998 von Zoë Müller-Šimić (42) eröffnet.\r\n\tÉtait-il bleu?"
    answer = qa.answer("Who opened the café?", context)
    assert "Zoë" in answer.text
    assert context[answer.start : answer.end] == answer.text


def test_special_tokens_in_the_text_stay_text(qa):
    context = "The token [SEP] was chosen by Ada Lovelace, and [CLS] by Grace Hopper."
    ids = next(qa.windows("Who chose [SEP]?", context)).input_ids.tolist()
    assert ids.count(102) == 2
    assert ids.count(101) == 1
    answer = qa.answer("What was chosen?", context)
    assert context[answer.start : answer.end] == answer.text


@pytest.mark.parametrize("question", ["", "  ", "\n\t"])
def test_a_blank_question_is_rejected(qa, question):
    with pytest.raises(InputError, match="question is empty"):
        qa.answer(question, CONTEXT)


@pytest.mark.parametrize("context", ["", " \n ", "\u200b\u200b"])
def test_a_blank_context_is_rejected(qa, context):
    with pytest.raises(InputError, match="context is empty"):
        qa.answer("Who?", context)


def test_a_lone_surrogate_is_rejected(qa):
    with pytest.raises(InputError, match="context: holds a lone surrogate"):
        qa.answer("Who?", "broken \ud800 text")
    with pytest.raises(InputError, match="question: holds a lone surrogate"):
        qa.answer("Who \udfff?", CONTEXT)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"max_answer_len": 0}])
def test_senseless_options_are_rejected(qa, options):
    with pytest.raises(InputError, match="got 0, wanted at least 1"):
        qa.answer("Who?", CONTEXT, **options)


def test_something_that_is_no_text_is_rejected(qa):
    with pytest.raises(InputError, match="context: got NoneType, wanted text"):
        qa.answer("Who?", None)


def test_the_threshold_decides_about_no_answer(qa):
    selection_always = qa.answer("Who described it?", CONTEXT, no_answer_threshold=1e9)
    never = qa.answer("Who described it?", CONTEXT, no_answer_threshold=-1e9)
    assert selection_always.text == "Ada Lovelace"
    assert (never.text, never.start, never.end) == ("", 0, 0)
    assert 0 <= never.score < 0.1
    both = qa.answer("Who described it?", CONTEXT, no_answer_threshold=-1e9, top_k=2)
    assert [a.text for a in both] == ["", "Ada Lovelace"]


def test_the_longest_answer_can_be_limited(qa):
    answer = qa.answer("Who described the Analytical Engine?", CONTEXT, max_answer_len=1)
    assert len(answer.text.split()) == 1


def test_a_question_longer_than_the_limit_is_cut(qa):
    (window,) = qa.windows("who " * 500 + "?", CONTEXT)
    assert window.first == 1 + 64 + 1


def test_what_was_not_read_shows_when_an_answer_is_printed(qa):
    whole = qa.answer("Who wrote it?", CONTEXT)
    assert "partial" not in repr(whole)
    assert "question_truncated" not in repr(whole)
    assert qa.answer("who " * 500 + "?", CONTEXT).question_truncated
    assert "question_truncated=True" in repr(qa.answer("who " * 500 + "?", CONTEXT))
    assert not qa.answer("who " * 100 + "?", CONTEXT, max_question_len=200).question_truncated
    long = "Nothing happened. " * 500
    assert "partial=True" in repr(qa.answer("Who wrote it?", long, max_windows=1))


def test_reading_a_long_context_is_told(qa):
    long, seen = "Nothing happened. " * 500, []
    qa.answer("Who wrote it?", long, progress=lambda stage, done, total: seen.append((done, total)))
    assert len(seen) > 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(long.rstrip()), len(long))


@pytest.mark.parametrize(("question", "context"), [("", "Ada."), ("Who?", " "), ("Who \ud800?", "Ada."), (3, "Ada.")])
def test_windows_checks_what_it_is_given_when_it_is_called(qa, question, context):
    with pytest.raises(InputError):
        qa.windows(question, context)


@pytest.mark.parametrize("question", ["\u200b", "\u0000", "\u200d\ufeff"])
def test_a_question_of_nothing_that_can_be_seen_is_refused(qa, question):
    with pytest.raises(InputError, match="question is empty once tokenized"):
        qa.answer(question, "Ada wrote it.")
