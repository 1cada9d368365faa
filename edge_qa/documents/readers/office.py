"""Paragraphs, headings and tables as word processors and slides nest them -> blocks."""

from edge_qa.documents.readers.extracted import TextBuilder, joined_cells
from edge_qa.documents.readers.xml import parse


class Paragraphs:
    """Gathers runs of text into paragraphs, and paragraphs in cells into rows of a table."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._text: list[str] = []
        self._cell: list[str] = []
        self._rows: list[list[str]] = []  # one for each table that is open

    def text(self, text: str) -> None:
        """Add to the paragraph."""
        self._text.append(text)

    def end_paragraph(self, level: int = 0) -> None:
        """The paragraph is whole: a block of its own, or part of a cell."""
        text = "".join(self._text).replace("\u00a0", " ").strip()
        self._text.clear()
        if self._rows:
            self._cell.append(text)
        else:
            self._builder.add(" ".join(text.split()) if level else text, level=level)

    def begin_row(self) -> None:
        """A row begins, maybe inside a cell of another."""
        self._rows.append([])

    def end_cell(self) -> None:
        """The cell is whole."""
        if self._rows:
            self._rows[-1].append(" ".join(self._cell))
            self._cell.clear()

    def end_row(self) -> None:
        """The row is whole: one line, or part of the cell around it."""
        row = joined_cells(self._rows.pop()) if self._rows else ""
        if self._rows:
            self._cell.append(row)
        else:
            self._builder.add(row)


def core_title(core: bytes) -> str:
    """Return the title in docProps/core.xml, "" if there is none."""
    inside: list[str] = []
    title: list[str] = []

    def end(_name: str) -> None:
        inside.pop()

    def text(text: str) -> None:
        if inside[-1] == "title":
            title.append(text)

    parse(core, start=lambda name, _: inside.append(name), end=end, text=text)
    return "".join(title)
