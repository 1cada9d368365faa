"""A text with blocks -> passages: what is found, and what the model reads at once.

A passage has 100 to 200 words where the text allows, begins and ends with a block, and repeats the end of the
one before, so that what belongs together stands together in one of them. A block that is longer is cut where the list
items, rows and clauses in it begin, which no answer crosses (`edge_qa/text/blocks.py`), and those between sentences.
A heading stands with what follows it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edge_qa.documents.readers.extracted import Block, Extracted, one_line
from edge_qa.documents.sentences import sentence_ends
from edge_qa.text.blocks import block_starts

# Words of a passage, and of the overlap between two.
LEAST_WORDS, MOST_WORDS, OVERLAP_WORDS = 100, 200, 40
# Code points of a long block that are looked at together.
_PART = 262_144
# Code points. A line of base64 is cut, too.
_LONGEST_WORD, _LETTERS_PER_WORD = 60, 12
# Scripts that put no space between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters, Yi.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORD = re.compile(rf"\S{{1,{_LONGEST_WORD}}}\s*")
_UNSPACED_PER_WORD = 2


@dataclass(frozen=True)
class Stretch:
    """A passage: `text[start:end]`, code points, and the headings over it, outermost first, on one line."""

    start: int
    end: int
    heading: str


@dataclass(frozen=True)
class _Piece:
    start: int
    end: int
    words: int
    level: int
    record: bool
    heading: str


def cut(extracted: Extracted) -> Iterator[Stretch]:
    """Yield the passages of a text, in order."""
    group: list[_Piece] = []
    words = 0
    for piece in _pieces(extracted):
        if group and _begins_anew(words, piece):
            # A heading goes with what follows it; a passage full of nothing else is one.
            whole = len(group)
            while whole and group[whole - 1].level and not piece.record:
                whole -= 1
            if not whole and words + piece.words > MOST_WORDS:
                whole = len(group)
            if whole:
                kept, headings = group[:whole], group[whole:]
                yield _passage(kept)
                group = headings if piece.record or piece.level or headings else _overlap(kept)
                words = sum(one.words for one in group)
        group.append(piece)
        words += piece.words
    if group:
        yield _passage(group)


def _begins_anew(words: int, piece: _Piece) -> bool:
    return piece.record or words + piece.words > MOST_WORDS or (piece.level > 0 and words >= LEAST_WORDS)


def _passage(pieces: list[_Piece]) -> Stretch:
    heading = next((piece.heading for piece in pieces if not piece.level), pieces[-1].heading)
    return Stretch(pieces[0].start, pieces[-1].end, heading)


def _overlap(pieces: list[_Piece]) -> list[_Piece]:
    """The last pieces, as many as fit into the overlap; never all of them."""
    first, words = len(pieces), 0
    while first > 1 and words + pieces[first - 1].words <= OVERLAP_WORDS and not pieces[first - 1].level:
        first -= 1
        words += pieces[first].words
    return pieces[first:]


def _pieces(extracted: Extracted) -> Iterator[_Piece]:
    """The blocks with their headings; long ones in sentences, and what is no sentence in words."""
    text = extracted.text
    path: list[tuple[int, str]] = [(0, extracted.header)] if extracted.header else []
    for block in extracted.blocks:
        if block.record:
            path = path[:1] if extracted.header else []
        if block.level:
            path = [step for step in path if step[0] < block.level]
            path.append((block.level, one_line(text[block.start : block.end].lstrip("# "), 120)))
        heading = " / ".join(title for _, title in path)
        for number, (start, end, words) in enumerate(_sized(text, block)):
            yield _Piece(start, end, words, block.level, block.record and not number, heading)


def _sized(text: str, block: Block) -> Iterator[tuple[int, int, int]]:
    """Stretches of a block with their words, each shorter than a passage."""
    words = count_words(text[block.start : block.end])
    if words <= MOST_WORDS:
        yield block.start, block.end, words
        return
    start = block.start
    for end in _borders(text, block.start, block.end):
        words = count_words(text[start:end])
        if words > MOST_WORDS:
            yield from _sentences(text, start, end)
        elif words:
            yield _stripped(text, start, end), _last(text, start, end), words
        start = end


def _borders(text: str, start: int, end: int) -> Iterator[int]:
    """Where what a reader sees as one ends inside a stretch, the last at `end`; looked for part by part."""
    begin = start
    while begin < end:
        last = min(begin + _PART, end)
        yield from (border for border in block_starts(text, begin, last).tolist() if border > start)
        begin = last
    yield end


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Stretches of a block too long for a passage: sentences, and what is no sentence in lines or words."""
    for place in sentence_ends(text, start, end):
        words = count_words(text[start:place])
        if words <= LEAST_WORDS:
            yield _stripped(text, start, place), _last(text, start, place), words
        else:
            yield from _lines_or_words(text, start, place)
        start = place


def _lines_or_words(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """A stretch without sentences, cut at line ends where there are some, and else between words."""
    begin, words = start, 0
    for line, line_end in _lines(text, start, end):
        size = count_words(text[line:line_end])
        if words and words + size > LEAST_WORDS:
            yield _stripped(text, begin, line), _last(text, begin, line), words
            begin, words = line, 0
        if size > LEAST_WORDS:
            yield from _words(text, line, line_end)
            begin = line_end
            continue
        words += size
        if words >= OVERLAP_WORDS // 2:
            yield _stripped(text, begin, line_end), _last(text, begin, line_end), words
            begin, words = line_end, 0
    if words:
        yield _stripped(text, begin, end), _last(text, begin, end), words


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        place = text.find("\n", start, end) + 1 or end
        yield start, place
        start = place


def _words(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    begin, words = start, 0
    for match in _WORD.finditer(text, start, end):
        words += count_words(match[0])
        if words >= LEAST_WORDS:
            yield _stripped(text, begin, match.end()), _last(text, begin, match.end()), words
            begin, words = match.end(), 0
    if words:
        yield _stripped(text, begin, end), _last(text, begin, end), words


def _stripped(text: str, start: int, end: int) -> int:
    return end - len(text[start:end].lstrip())


def _last(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def count_words(text: str) -> int:
    """Return how many words a text has; in a script without spaces two characters are one, in code twelve letters."""
    words = max(len(text.split()), len(text) // _LETTERS_PER_WORD)
    if text.isascii():
        return words
    return words + len(_UNSPACED.findall(text)) // _UNSPACED_PER_WORD
