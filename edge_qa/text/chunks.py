"""A text of any length -> its tokens, in pieces, so that memory does not grow with the text."""

from collections.abc import Iterator

import numpy as np

from edge_qa.text.blocks import Within, block_starts
from edge_qa.text.graphemes import continues
from edge_qa.text.tokenizer import TextTokenizer, Tokens

# Code points a piece. The tokenizer needs about 160 bytes for each while it works.
PIECE = 65_536
# Code points; the longest emoji in use have ten.
_LONGEST_CHARACTER = 64


def tokenize(
    tokenizer: TextTokenizer,
    text: str,
    what: str = "context",
    *,
    align: bool = False,
    within: Within = "text",
    piece: int = PIECE,
) -> Iterator[Tokens]:
    """Yield the tokens of `text` in pieces; their offsets are offsets into the whole text.

    align: widen the offsets to those of whole words.
    within: "block" to number the blocks of the text as well.
    Pieces end before white space, where tokenizers cut anyway, so that the tokens are those of the
    whole text. Only a text with no white space in half a piece is cut elsewhere, between two characters:
    there two tokens may come out where the whole text would give one.
    """
    begin = blocks = 0
    while begin < len(text):
        end = _cut(text, begin, piece)
        tokens = tokenizer.encode(text[begin:end], what, align=align)
        offsets = tokens.offsets + begin
        if within == "block":
            starts = block_starts(text, begin, end)
            yield Tokens(tokens.ids, offsets, blocks + np.searchsorted(starts, offsets[:, 0], side="right"))
            blocks += len(starts)
        else:
            yield Tokens(tokens.ids, offsets)
        begin = end


def _cut(text: str, begin: int, piece: int) -> int:
    """Where the piece that begins at `begin` ends: before white space that follows something else."""
    end = begin + piece
    if end >= len(text):
        return len(text)
    least = begin + piece // 2
    # Best is a single space between two words: a byte-level tokenizer would add one before a newline.
    place = end
    while (place := text.rfind(" ", least, place)) >= 0:
        if not text[place - 1].isspace() and not text[place + 1].isspace():
            return place
    place = max(text.rfind(space, least, end) for space in (" ", "\n", "\t", "\u3000"))
    if place < 0:
        return _between_characters(text, begin, end)
    while place > least and text[place - 1].isspace():
        place -= 1
    return place


def _between_characters(text: str, begin: int, place: int) -> int:
    """The nearest place at or before this one that is not inside a character, unless it is a monstrous one."""
    first = max(begin, place - _LONGEST_CHARACTER)
    joined = continues(np.frombuffer(text[first : place + 1].encode("utf-32-le", "surrogatepass"), np.uint32))
    if joined is None or joined[1:].all():
        return place
    return first + int(np.flatnonzero(~joined)[-1])
