"""Where sentences end: good enough to cut a long paragraph, and to show what stands around an answer."""

import re

# After a full stop, question or exclamation mark with what closes behind it, and white space before no small letter;
# the marks of Chinese and Japanese need no space. Not after an initial or a number of a list ("J. Smith", "3. Fees").
_END = re.compile(
    r"(?<![\s(.][A-Za-z0-9])[.!?]['\")\]\u2019\u201d]*\s+(?=[^\sa-z])|[\u3002\uff01\uff1f][\u300d\u300f\u201d]*|\n\s*\n\s*"
)
# Code points. What is longer is no sentence, and a citation shows no more of it.
_LONGEST = 600


def sentence_ends(text: str, start: int, end: int) -> list[int]:
    """Return where the sentences of `text[start:end]` end, the last at `end`; the space behind one is its own."""
    ends = [match.end() for match in _END.finditer(text, start, end)]
    return ends if ends and ends[-1] == end else [*ends, end]


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the offsets of the sentences that `text[start:end]` stands in, without white space at the edges."""
    first, last = max(0, start - _LONGEST), min(len(text), end + _LONGEST)
    begin = first
    for match in _END.finditer(text, first, last):
        if match.end() <= start:
            begin = match.end()
        elif match.start() >= end - 1:
            last = match.end()
            break
    # A piece cut off in the middle of a word begins with the next one.
    if begin == first > 0 and not text[first - 1].isspace():
        space = text.find(" ", first, start)
        begin = space + 1 if space >= 0 else begin
    around = text[begin:last]
    return begin + len(around) - len(around.lstrip()), last - (len(around) - len(around.rstrip()))
