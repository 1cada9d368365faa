"""Align answers to words: an answer that begins or ends inside a word takes in the whole of it."""

import numpy as np
from numpy.typing import NDArray

# Code points. A longer word is none: a text without spaces, a file in base64.
LONGEST_WORD = 1000


def align_to_words(offsets: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each token's offsets widened to those of its word, (tokens, 2) code points.

    offsets: where an answer begins and ends that begins and ends with each token; a token without text
    has two equal ones, and keeps them so.
    words: the number of each token's word, as the tokenizer's pre-tokenizer splits (for BERT at white
    space and punctuation), (tokens,); negative for a token of no word. The tokens of a word are neighbours.
    """
    if not len(offsets):
        return offsets
    begin, end = offsets[:, 0], offsets[:, 1]
    empty = begin == end
    head = np.append(True, (words[1:] != words[:-1]) | (words[1:] < 0))
    heads, word = np.flatnonzero(head), np.cumsum(head) - 1
    first = np.minimum.reduceat(np.where(empty, np.iinfo(np.int64).max, begin), heads)[word]
    last = np.maximum.reduceat(np.where(empty, -1, end), heads)[word]
    kept = empty | (last - first > LONGEST_WORD)
    return np.stack([np.where(kept, begin, first), np.where(kept, end, last)], axis=1)
