"""What is one character: against an implementation of UAX #29 (golden/make_graphemes.py), and where we differ."""

import json

import numpy as np
import pytest

from edge_qa.text.graphemes import continues
from tests.support.places import GOLDEN_FILES

GOLDEN = json.loads((GOLDEN_FILES / "graphemes.json").read_text(encoding="ascii"))


def begins(text: str) -> list[int]:
    joined = continues(np.frombuffer(text.encode("utf-32-le"), np.uint32))
    return list(range(len(text))) if joined is None else np.flatnonzero(~joined).tolist()


def test_characters_are_those_of_unicode():
    wrong = [(text, places, begins(text)) for text, places in GOLDEN["texts"] if begins(text) != places]
    assert wrong == []
    assert sum(len(places) < len(text) for text, places in GOLDEN["texts"]) > 200


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a \u0301b", [0, 1, 2, 3]),  # a mark after white space stands alone
        ("\u0301a", [0, 1]),
        ("a\u200db", [0]),  # whatever follows a joiner belongs to what stands before it
        ("a\u200d b", [0, 2, 3]),  # but no white space
        ("\u1019\u102c", [0]),  # every mark belongs to the character before it
        ("\u06001", [0, 1]),  # a prepended mark is a character of its own
        ("\u0915\u094d\u0937", [0, 2]),  # and so is a consonant after a virama
    ],
)
def test_where_the_rule_differs_on_purpose(text, places):
    assert begins(text) == places


def test_text_without_anything_to_join_costs_no_array():
    assert continues(np.frombuffer("Zoë 東京 Ж".encode("utf-32-le"), np.uint32)) is None
