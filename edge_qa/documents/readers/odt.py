"""OpenDocument texts: paragraphs, headings, tables; comments and what was deleted is left out."""

from collections.abc import Mapping

from edge_qa.documents.readers.archives import Archive
from edge_qa.documents.readers.extracted import Extracted, TextBuilder
from edge_qa.documents.readers.office import Paragraphs, core_title
from edge_qa.documents.readers.xml import parse

_META = "meta.xml"
_LEFT_OUT = {"tracked-changes", "annotation", "sequence-decls", "forms"}
_MOST_SPACES = 100


def read_odt(data: bytes) -> Extracted:
    """Return the text of an .odt file."""
    archive = Archive(data)
    builder = TextBuilder()
    body = _Body(builder)
    parse(archive.read("content.xml"), start=body.start, end=body.end, text=body.text)
    return builder.result(core_title(archive.read(_META)) if _META in archive else "")


class _Body:
    def __init__(self, builder: TextBuilder) -> None:
        self._paragraphs = Paragraphs(builder)
        self._left_out = self._open = self._level = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _LEFT_OUT or self._left_out:
            self._left_out += 1
        elif name in ("p", "h"):
            level = attributes.get("outline-level", "1")
            self._level = (min(int(level), 6) if level.isdecimal() else 1) if name == "h" else 0
            self._open += 1
        elif name == "tab":
            self._paragraphs.text("\t")
        elif name == "line-break":
            self._paragraphs.text("\n")
        elif name == "s":
            count = attributes.get("c", "1")
            self._paragraphs.text(" " * (min(int(count), _MOST_SPACES) if count.isdecimal() else 1))
        elif name == "table-row":
            self._paragraphs.begin_row()

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif name in ("p", "h"):
            self._open -= 1
            self._paragraphs.end_paragraph(self._level)
            self._level = 0
        elif name == "table-cell":
            self._paragraphs.end_cell()
        elif name == "table-row":
            self._paragraphs.end_row()

    def text(self, text: str) -> None:
        if self._open and not self._left_out:
            self._paragraphs.text(" ".join(text.split("\n")))
