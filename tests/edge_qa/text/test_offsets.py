"""Where answers may begin and end: every expected value by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_qa.text.offsets import cut_cleanly


def cut(text: str, *offsets: tuple[int, int]) -> list[list[int]]:
    return cut_cleanly(text, np.array(offsets, np.int64).reshape(-1, 2)).tolist()


def test_offsets_between_whole_characters_stay_as_they_are():
    assert cut("The tide.", (0, 3), (4, 8), (8, 9)) == [[0, 3], [4, 8], [8, 9]]
    assert cut("Zoé 東京 🚀", (0, 3), (4, 5), (5, 6), (7, 8)) == [[0, 3], [4, 5], [5, 6], [7, 8]]


def test_no_tokens_have_no_offsets():
    assert cut("") == []
    assert cut("\u0007") == []


@pytest.mark.parametrize("space", [" ", "\n", "\u00a0", "\u3000", "\u2028", "\x85"])
def test_white_space_is_trimmed_on_both_sides(space):
    assert cut(f"a{space}b{space}{space}c", (0, 1), (1, 4), (4, 6)) == [[0, 1], [2, 3], [5, 6]]


def test_a_token_of_white_space_is_empty_where_the_next_text_begins():
    assert cut("a  b ", (0, 1), (1, 2), (2, 3), (3, 4), (4, 5)) == [[0, 1], [3, 3], [3, 3], [3, 4], [5, 5]]


def test_a_letter_takes_its_accents_in():
    # e, acute, circumflex below: as three tokens, and as the first alone.
    assert cut("e\u0301\u032d.", (0, 1), (1, 2), (2, 3), (3, 4)) == [[0, 3], [0, 3], [0, 3], [3, 4]]


def test_an_emoji_takes_its_modifiers_and_joined_emoji_in():
    assert cut("x👍🏽y", (0, 1), (1, 2), (2, 3), (3, 4)) == [[0, 1], [1, 3], [1, 3], [3, 4]]
    assert cut("👩\u200d🚀!", (0, 1), (1, 2), (2, 3), (3, 4)) == [[0, 3], [0, 3], [0, 3], [3, 4]]
    assert cut("❤\ufe0f.", (0, 1), (2, 3)) == [[0, 2], [2, 3]]


def test_a_mark_with_nothing_before_it_stands_alone():
    assert cut("\u0301a", (0, 1), (1, 2)) == [[0, 1], [1, 2]]


def test_an_empty_token_takes_nothing_in():
    assert cut("ae\u0301", (1, 1), (3, 3)) == [[1, 1], [3, 3]]


@given(st.text("ab \n\u0301\u200d\ufe0f👩🏽", min_size=1, max_size=12), st.data())
def test_whatever_comes_in_can_be_cut_out(text, data):
    begins = data.draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=6).map(sorted))
    offsets = [(begin, data.draw(st.integers(begin, len(text)))) for begin in begins]
    for (begin, end), (old_begin, old_end) in zip(cut(text, *offsets), offsets, strict=True):
        assert 0 <= begin <= end <= len(text)
        piece = text[begin:end]
        assert piece == piece.strip()
        # Of what the tokenizer meant nothing is lost but white space.
        meant = text[old_begin:old_end].strip()
        assert meant in piece or not meant
        assert piece == "" or old_begin < old_end
