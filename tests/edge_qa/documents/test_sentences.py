"""Sentences: where they end, and the one around an answer."""

import pytest

from edge_qa.documents.sentences import sentence_around, sentence_ends

TEXT = "It rained. Mr J. Smith came (late!) home. Why?\n\nNobody knows."


def around(text: str, answer: str) -> str:
    start = text.index(answer)
    first, last = sentence_around(text, start, start + len(answer))
    return text[first:last]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("rained", "It rained."),
        ("Smith", "Mr J. Smith came (late!) home."),
        ("Why?", "Why?"),
        ("knows", "Nobody knows."),
        ("rained. Mr", "It rained. Mr J. Smith came (late!) home."),
    ],
)
def test_the_sentence_around_an_answer(answer, sentence):
    assert around(TEXT, answer) == sentence


def test_chinese_sentences_need_no_space():
    assert around("今天下雨。他住在北京。", "北京") == "他住在北京。"


def test_a_text_without_sentences_is_cut_between_words():
    text = "word " * 1000 + "answer " + "word " * 1000
    found = around(text, "answer")
    assert "answer" in found
    assert found.startswith("word ")
    assert len(found) < 1300


def test_ends_reach_the_end():
    assert sentence_ends("Ab cd. Ef", 0, 9) == [7, 9]
    assert sentence_ends("Ab.", 0, 3) == [3]
