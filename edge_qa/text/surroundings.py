"""A place in a text -> the passage around it that a reader would read to judge it."""

import re

from edge_qa.text.blocks import SPACES

# Between two passages: a line with nothing on it, or the marks of a quotation alone; and what Unicode has for it.
_BLANK_LINE = re.compile(rf"(?>\r\n|[\n\r\x85\u2028])[{re.escape(SPACES)}]*(?:>[ \t]*)*(?=[\n\r\x85\u2028])|[\f\u2029]")
# Code points. A heading or a date alone says too little: what stands before it is read, too.
_LEAST = 200
# Code points on either side that are looked at; no window of a model holds more.
_FURTHEST = 8_192


def passage_around(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return where the passage begins and ends that `text[start:end]` stands in; None if it is too long to find.

    A passage is what stands between two blank lines. One of fewer than 200 characters is joined with those before it,
    at the beginning of a text with those behind it, until there are as many. It depends on the text nearby alone.
    """
    first, last = max(0, start - _FURTHEST), min(len(text), end + _FURTHEST)
    begins = [first, *(match.end() for match in _BLANK_LINE.finditer(text, first, start))]
    ends = [*(match.start() for match in _BLANK_LINE.finditer(text, end, last)), last]
    place, stop = len(begins) - 1, 0
    while ends[stop] - begins[place] < _LEAST and (place > 0 or stop < len(ends) - 1):
        place, stop = (place - 1, stop) if place > 0 else (place, stop + 1)
    begin, finish = begins[place], ends[stop]
    # The edge of what was looked at is no edge of a passage.
    if (begin == first > 0) or (finish == last < len(text)):
        return None
    return begin, finish
