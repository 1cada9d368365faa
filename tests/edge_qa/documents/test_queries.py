"""What a question becomes for the index."""

import pytest

from edge_qa.documents.queries import gram_query, grams, word_query


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("Who wrote the book?", '"wrote" OR "book"'),
        ("Who is it?", '"who" OR "is" OR "it"'),  # nothing but stop words
        ('a "quoted" OR NEAR(b*)', '"quoted" OR "near" OR "b"'),
        ("book Book BOOK", '"book"'),
        ("snake_case 3.5", '"snake" OR "case" OR "3" OR "5"'),
        ("?!", None),
        ("東京の天気", None),
    ],
)
def test_word_query(question, query):
    assert word_query(question) == query


def test_a_pasted_page_is_cut():
    assert word_query(" ".join(f"w{number}" for number in range(1000))).count("OR") == 63


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("plain", ""),
        ("Zoë", ""),
        ("東京都 in 日本, 水", "東京 京都 日本 水"),
        ("カタカナ", "カタ タカ カナ"),
        ("ｶﾀ東京", "カタ タ東 東京"),  # half-width kana, as their full forms
    ],
)
def test_grams(text, pairs):
    assert grams(text) == pairs


def test_gram_query():
    assert gram_query("東京の天気 today") == '"東京" OR "京の" OR "の天" OR "天気"'
    assert gram_query("today") is None
