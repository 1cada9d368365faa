"""A text of any length -> its tokens, in pieces, so that memory does not grow with the text."""

from collections.abc import Iterator

from edge_qa.text import TextTokenizer, Tokens

# Code points a piece. The tokenizer needs about 160 bytes for each while it works.
PIECE = 65_536


def tokenize(tokenizer: TextTokenizer, text: str, what: str = "context", *, piece: int = PIECE) -> Iterator[Tokens]:
    """Yield the tokens of `text` in pieces; their offsets are offsets into the whole text.

    Pieces end before white space, where tokenizers cut anyway, so that the tokens are those of the
    whole text. Only a text with no white space in a whole piece is cut elsewhere: there two tokens
    may come out where the whole text would give one.
    """
    begin = 0
    while begin < len(text):
        end = _cut(text, begin, piece)
        tokens = tokenizer.encode(text[begin:end], what)
        yield Tokens(tokens.ids, tokens.offsets + begin) if begin else tokens
        begin = end


def _cut(text: str, begin: int, piece: int) -> int:
    """Where the piece that begins at `begin` ends: before white space that follows something else."""
    end = begin + piece
    if end >= len(text):
        return len(text)
    least = begin + piece // 2
    place = max(text.rfind(space, least, end) for space in (" ", "\n", "\t", "\u3000"))
    if place < 0:
        return end
    while place > least and text[place - 1].isspace():
        place -= 1
    return place
