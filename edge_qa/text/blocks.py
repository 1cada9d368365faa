"""Where the blocks of a text begin that a reader sees: paragraphs, list items, table rows, headings, numbered clauses.

Found from the text alone, as plain text, Markdown, CSV, TSV and logs are laid out, in linear time. A hard line wrap
inside a paragraph begins no block. What looks like a number at the beginning of a line ("3.5 kg", "12. The") begins
one only where the lines around it say so.
"""

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# What an answer may not leave: the block that it stands in, or the whole text.
Within = Literal["block", "text"]

# Code points of the lines around a part of a text that are looked at: what a line is depends on its neighbours.
_MARGIN = 4_096
# Characters. What is longer is no wrapped line: its end is the end of a paragraph.
_LONGEST_WRAPPED = 160
# A line shorter than this share of its paragraph's longest was ended on purpose, if that one is wrapped at all.
_SHORT, _LEAST_WRAPPED = 0.5, 40

# What is nothing on a line: spaces of every width, and what is not seen at all, such as the marks of direction that
# right-to-left text begins its lines with.
SPACES = (
    " \t\v\0\u00a0\u00ad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u202f\u205f\u2060\u2066\u2067\u2068\u2069\u3000\ufeff"
)
# What a line is indented with, the marks of a quotation among it.
_INDENT = ">" + SPACES
# The first thing on a line after its indent. What comes first wins.
_LINE = re.compile(
    r"""(?:
      (?P<blank>$)
    | (?P<rule>[-=_*~+|:.#\s]{3,}$|```|~~~)
    | (?P<heading>\#{1,6}\s|={1,6}\s)
    | (?P<row>\|)
    | (?P<item>(?:[-*+\u00b7\u2010\u2011\u2013-\u2015\u2043\u2192\u2212\u2219\uff0a]|\[[ xX]\]|\(\w{1,4}\)|[a-zA-Z]\))\s
        |[\u2022\u2023\u25a0\u25a1\u25aa\u25b6\u25c6\u25cb\u25cf\u25e6\u2713\u2714\u27a4\u30fb\uf0b7\u2460-\u2473]
        |\uff08\w{1,4}\uff09|[\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341]{1,3}\u3001
        |\u00a7|[QA]:\s|[A-Z]\.\s{2,}|\d{1,4}(?:\.\d{1,4})*[.)]?\s{2,}|\d{1,3}\)\s
        |(?:Article|ARTICLE|Section|SECTION|Clause|CLAUSE|Part|PART)\s\d)
    | (?P<number>\d{1,3}(?:\.\d{1,3})*\.\s|\d{1,3}(?:\.\d{1,3})+\s|[a-zA-Z]\.\s|[ivxIVX]{2,5}[.)]\s
        |\[?\d{1,2}:\d{2}\b|\[?\d{4}[-/.]\d{2}[-/.]\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4},?\s+\d{1,2}:\d{2}
        |[A-Z][a-z]{2}\s+\d{1,2}\s\d{2}:\d{2}|[A-Z][\w-]*(?:\s[\w-]+){0,2}:\s|[a-z][\w-]*:\s)
    )""",
    re.VERBOSE,
)
# Between two cells: a tab, or three spaces, which no sentence has between its words.
_GAP = re.compile(r"(?<=\S)(?: *\t[ \t]*| {3,})(?=\S)")
# A comma, semicolon or bar with no space after it and no digits that it groups, or a bar between two spaces: many of
# them make a row of a table.
_DELIMITER = re.compile(r"[,;|](?=[^\s,;|])(?<!\d,(?=\d{3}\b))|[,;|](?=[,;|\r\n])|,$|;$|(?<=\s)\|(?=\s)")
_ENDS_SENTENCE = tuple(".:;!?)]\"'\u201d%")
# The number of a clause inside a line, "... 20 %. 5. Confidentiality": no day of a month, and after the end of a
# sentence, which "No." and the like are not.
_INLINE = re.compile(
    r"""[ \t](?P<number>\d{1,2}(?:(?:\.\d{1,2})*[.)]|(?:\.\d{1,2})+)[ \t]+["\u201c(]?
    (?!(?:Jan|Feb|Mar|Apr|May|Mai|Jun|Jul|Aug|Sep|Sept|Oct|Okt|Nov|Dec|Dez|January|February|March|April|June
        |July|August|September|October|November|December|Januar|Februar|M\u00e4rz|Juni|Juli|Oktober|Dezember)\b)
    [^\W\d_a-z])""",
    re.VERBOSE,
)
_BEFORE_INLINE = re.compile(
    r"(?<![\w.])(?!(?:no|nr|nos|art|sec|vol|p|pp|fig|ch|op|v|ca|st|bd|kap|abs)\.$)\S*[.;:!?%)\u201d\"]$", re.IGNORECASE
)
_BULLET = re.compile(r"(?<=[ \t])[\u2022\u25aa\u25cf\u2023][ \t]")


def block_starts(text: str, begin: int = 0, end: int | None = None) -> NDArray[np.int64]:
    """Return where blocks begin in `text[begin:end]`, offsets into the text, rising; the text's own begin is none.

    No more than a few thousand characters around that part are looked at, so that a long text can be gone
    through part by part.
    """
    end = len(text) if end is None else end
    first, last = max(0, begin - 2 * _MARGIN), end + 2 * _MARGIN
    # At the beginning of a line and at the end of one, where there is any.
    if first:
        first = max(first, text.rfind("\n", first, begin - _MARGIN) + 1)
    if last < len(text) and (place := text.find("\n", end + _MARGIN, last)) >= 0:
        last = place
    part = text[first:last]
    starts = {match.start() for match in _BULLET.finditer(part)}
    starts.update(_inline_clauses(part))
    lines = part.splitlines(keepends=True)
    if len(lines) > 1:
        begins = np.cumsum([0, *map(len, lines)])[:-1]
        starts.update(begins[_begin_blocks(lines)].tolist())
    # Python sorts, because numpy's `unique` imports numpy.ma, a hundredth of a second of a cold start.
    found = np.array(sorted(starts), np.int64) + first
    return found[(found >= max(begin, 1)) & (found < end)]


def _inline_clauses(text: str) -> list[int]:
    """Where numbered clauses begin inside a line."""
    found = []
    for match in _INLINE.finditer(text):
        words = text[max(0, match.start() - 40) : match.start()].split()
        if words and _BEFORE_INLINE.match(words[-1]):
            found.append(match.start("number"))
    return found


def _begin_blocks(lines: list[str]) -> NDArray[np.bool_]:
    """Which lines begin a block, (lines,)."""
    texts = [line.rstrip() for line in lines]
    indents = [len(line) - len(line.lstrip(_INDENT)) for line in texts]
    quotes = [line.count(">", 0, indent) for line, indent in zip(texts, indents, strict=True)]
    found = [_LINE.match(line, indent) for line, indent in zip(texts, indents, strict=True)]
    kinds = [match.lastgroup if match else "text" for match in found]
    blank = np.array([kind == "blank" for kind in kinds])
    rows = _delimited(texts).tolist()
    begins = [False] * len(lines)
    column = None  # where the second cell of the row stands that the last line belongs to
    for place, (line, match, kind) in enumerate(zip(texts, found, kinds, strict=True)):
        if kind == "blank":
            column = None
            continue
        gap = _GAP.search(line, 0 if match is None or kind == "row" else match.end())
        above = place - 1
        begins[place] = (
            not place
            or kind in ("rule", "heading", "row", "item")
            or kinds[above] in ("blank", "rule", "heading")
            or quotes[place] != quotes[above]
            or rows[place]
            or rows[above]
            or gap is not None
            or lines[above].endswith("\f")
            or (column is not None and indents[place] + 1 < column)
        )
        if kind == "number" and not begins[place]:
            # Not one that a wrapped line happens to begin with.
            begins[place] = (
                texts[above].endswith(_ENDS_SENTENCE)
                or "number" in kinds[above : place + 2 : 2]
                or indents[place] != indents[above]
            )
        if begins[place]:
            column = None if gap is None else gap.end()
    marked = np.array(begins)
    marked[1:] |= _ended(np.array([len(line) for line in texts]), blank)[:-1] & ~blank[1:]
    return marked


def _ended(lengths: NDArray[np.int64], blank: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which lines were ended on purpose, and not where the paper ended, (lines,)."""
    paragraph = np.cumsum(blank)
    longest = np.zeros(paragraph[-1] + 1, np.int64)
    np.maximum.at(longest, paragraph, lengths)
    widest = longest[paragraph]
    whole = lengths > _LONGEST_WRAPPED
    ended: NDArray[np.bool_] = whole | ((widest >= _LEAST_WRAPPED) & (lengths < _SHORT * widest))
    return ended


def _delimited(lines: list[str]) -> NDArray[np.bool_]:
    """Which lines are rows of CSV or TSV, (lines,): several delimiters, as in a neighbour, or one in three lines."""
    # Two lines more on either side, with nothing on them, so that every line has its neighbours.
    counts = np.array([0, 0, *(len(_DELIMITER.findall(line)) + line.count("\t") for line in lines), 0, 0])
    several, one = counts >= 2, counts >= 1
    middle = one[:-2] & one[1:-1] & one[2:]
    in_three = middle[:-2] | middle[1:-1] | middle[2:]
    rows: NDArray[np.bool_] = (several[2:-2] & (several[1:-3] | several[3:-1])) | in_three
    return rows
