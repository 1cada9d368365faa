"""Token offsets -> offsets at which an answer can be cut: whole characters, no white space at the edges."""

import numpy as np
from numpy.typing import NDArray

from edge_qa.text.graphemes import continues

# Code points. A longer word is none: a text without spaces, a file in base64.
LONGEST_WORD = 1000

# All code points that str.isspace knows; the last row stands for everything beyond them.
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])


def cut_cleanly(text: str, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the offsets moved to where an answer may begin and end, (tokens, 2) code points.

    Tokenizers cut elsewhere: BERT's drops a combining accent after its letter, byte-level ones cut a
    character in parts, SentencePiece's begin with the space before a word. Here a token takes in the
    whole of every character that it touches (a letter with its accents, an emoji with its modifiers:
    see `edge_qa/text/graphemes.py`) and no white space around it. One that is nothing but white space
    becomes empty, at the place where the next text begins.

    offsets: as the tokenizer gave them, within `text`, which must be valid Unicode.
    """
    if not len(offsets):
        return offsets
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    begin, end = offsets[:, 0], offsets[:, 1]
    some = begin < end
    joined = continues(codes)
    if joined is not None:
        joined = np.append(joined, False)  # for the end
        places = np.arange(len(codes) + 1)
        first = np.maximum.accumulate(np.where(joined, 0, places))
        beyond = np.minimum.accumulate(np.where(joined, len(codes), places)[::-1])[::-1]
        begin, end = np.where(some, first[begin], begin), np.where(some, beyond[end], end)
    space = np.append(_IS_SPACE.take(codes, mode="clip"), False)
    if space[begin].any() or space[end[some] - 1].any():
        places = np.arange(len(codes) + 1)
        text_after = np.minimum.accumulate(np.where(space, len(codes), places)[::-1])[::-1]
        text_before = np.maximum.accumulate(np.where(np.append(False, space[:-1]), 0, places))
        begin = text_after[begin]
        end = np.maximum(begin, text_before[end])
    return np.stack([begin, end], axis=1)


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
