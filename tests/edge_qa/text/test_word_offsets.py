"""Alignment to words: every expected value by hand."""

import numpy as np

from edge_qa.text.offsets import LONGEST_WORD, align_to_words


def align(offsets, words):
    return align_to_words(np.array(offsets, np.int64).reshape(-1, 2), np.array(words, np.int64)).tolist()


def test_the_tokens_of_a_word_have_its_offsets():
    # "un|believ|able , said"
    assert align([(0, 2), (2, 8), (8, 12), (13, 14), (15, 19)], [0, 0, 0, 1, 2]) == [
        [0, 12],
        [0, 12],
        [0, 12],
        [13, 14],
        [15, 19],
    ]


def test_a_token_without_text_stays_empty_and_widens_nothing():
    # SentencePiece's word mark alone, where the word begins; white space alone, where the next text begins.
    assert align([(3, 3), (3, 5), (5, 8), (9, 9)], [0, 0, 0, 0]) == [[3, 3], [3, 8], [3, 8], [9, 9]]
    assert align([(2, 2), (4, 4)], [0, 0]) == [[2, 2], [4, 4]]


def test_tokens_of_no_word_stay_as_they_are():
    assert align([(0, 1), (1, 2), (2, 3)], [-1, -1, 0]) == [[0, 1], [1, 2], [2, 3]]


def test_the_same_number_further_on_is_another_word():
    assert align([(0, 1), (1, 2), (2, 3)], [0, 1, 0]) == [[0, 1], [1, 2], [2, 3]]


def test_what_is_too_long_for_a_word_is_none():
    longest = LONGEST_WORD
    assert align([(0, 4), (4, longest)], [0, 0]) == [[0, longest], [0, longest]]
    assert align([(0, 4), (4, longest + 1)], [0, 0]) == [[0, 4], [4, longest + 1]]


def test_no_tokens():
    assert align([], []) == []
