"""What a reader makes of a file: its text, and where the blocks of that text begin and end."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# A file whose text is longer than this is refused: 1 GB of memory and hours of reading would follow.
MAX_CHARACTERS = 64 * 2**20

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Block:
    """A paragraph, a list item, a table row or a heading: `text[start:end]`, code points.

    level: of a heading, 1 to 6; 0 for anything else.
    record: a passage begins here, because what stands before is about something else.
    """

    start: int
    end: int
    level: int = 0
    record: bool = False


@dataclass(frozen=True)
class Extracted:
    """The text of a file, its blocks in order, its title, and where its pages begin.

    title: "" if the file names none. header: what stands over every block, such as the column names of a table.
    page_starts: code point offsets, one a page; empty where there are no pages.
    """

    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    header: str = ""
    page_starts: tuple[int, ...] = ()


class TextBuilder:
    """Puts a text together from blocks, for the formats whose text is not the file itself."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._pages: list[int] = []
        self._length = 0

    @property
    def length(self) -> int:
        """Code points so far."""
        return self._length

    def page(self) -> None:
        """Begin a page."""
        self._pages.append(self._length)

    def add(self, text: str, *, level: int = 0, record: bool = False) -> None:
        """Append a block; one without any text is left out."""
        text = text.strip()
        if not text:
            return
        text = whole_characters(text)
        self._blocks.append(Block(self._length, self._length + len(text), level, record))
        self._parts += (text, "\n\n")
        self._length += len(text) + 2

    def result(self, title: str = "") -> Extracted:
        """Return the text with all blocks."""
        text = "".join(self._parts).rstrip()
        pages = tuple(min(page, len(text)) for page in self._pages)
        return Extracted(text, tuple(self._blocks), one_line(title), page_starts=pages)


def whole_characters(text: str) -> str:
    """Return the text with U+FFFD in the place of each lone surrogate, which no tokenizer takes."""
    return _SURROGATE.sub("\ufffd", text)


def one_line(text: str, longest: int = 200) -> str:
    """Return the text with its white space collapsed, cut at `longest` characters."""
    return whole_characters(" ".join(text[: 4 * longest].split())[:longest])


def joined_cells(cells: Iterable[str]) -> str:
    """Return a table row as one line."""
    return " | ".join(" ".join(cell.split()) for cell in cells).strip(" |")
