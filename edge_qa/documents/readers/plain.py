"""Plain text and Markdown: the text is the file itself, so that offsets are offsets into the file."""

import re
from collections.abc import Iterator

from edge_qa.documents.readers.extracted import Block, Extracted, one_line, whole_characters

_BLANK = re.compile(r"\n[ \t\r\f]*\n\s*|\f\s*")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
_ATX = re.compile(r"[ ]{0,3}(#{1,6})(?![^ \t\r\n])(.*)$")
_SETEXT = re.compile(r"[ ]{0,3}(=+|-+)[ \t]*\r?$")


def read_text(text: str) -> Extracted:
    """Return plain text with its paragraphs."""
    text = whole_characters(text)
    return Extracted(text, tuple(paragraphs(text, 0, len(text))))


def paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    """Yield what stands between blank lines."""
    place = start
    for match in _BLANK.finditer(text, start, end):
        yield from _block(text, place, match.start())
        place = match.end()
    yield from _block(text, place, end)


def _block(text: str, start: int, end: int, level: int = 0) -> Iterator[Block]:
    part = text[start:end]
    first, last = start + len(part) - len(part.lstrip()), start + len(part.rstrip())
    if first < last:
        yield Block(first, last, level)


def _heading_words(rest: str) -> str:
    """What a heading says, without the hashes that may close it."""
    return rest.strip(" \t\r").rstrip("#").rstrip(" \t")


def read_markdown(text: str) -> Extracted:
    """Return Markdown as it stands, with its headings; the first of the highest level is the title."""
    text = whole_characters(text)
    blocks: list[Block] = []
    title, highest = "", 7
    place = 0  # what stands before is in a block
    paragraph = -1  # where the paragraph begins that goes on; none after a blank line
    fence, line_start, before = "", 0, 0
    while line_start < len(text):
        line_end = text.find("\n", line_start) + 1 or len(text)
        line = text[line_start:line_end].rstrip("\n")
        level, heading, words = 0, line_start, ""
        if mark := _FENCE.match(line):
            fence = "" if fence == mark[1] else fence or mark[1]
        elif fence:
            pass
        elif match := _ATX.match(line):
            level, words = len(match[1]), _heading_words(match[2])
        # An underline makes a heading of one line; below several it is a rule, or part of a table.
        elif (match := _SETEXT.match(line)) and paragraph == before < line_start:
            level, heading, words = (1 if match[1][0] == "=" else 2), before, text[before:line_start]
        if level:
            blocks += paragraphs(text, place, heading)
            blocks += _block(text, heading, line_end, level)
            if words.strip() and level < highest:
                title, highest = one_line(words), level
            place = line_end
        if level or not line.strip():
            paragraph = -1
        elif paragraph < 0:
            paragraph = line_start
        before, line_start = line_start, line_end
    blocks += paragraphs(text, place, len(text))
    return Extracted(text, tuple(blocks), title)
