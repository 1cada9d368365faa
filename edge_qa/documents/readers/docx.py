"""Word documents: paragraphs, headings by their style, tables; what was deleted or is a field's code is not text."""

import re
from collections.abc import Mapping

from edge_qa.documents.readers.archives import Archive
from edge_qa.documents.readers.extracted import Extracted, TextBuilder
from edge_qa.documents.readers.office import Paragraphs, core_title
from edge_qa.documents.readers.xml import parse

_CORE = "docProps/core.xml"
_STYLES = "word/styles.xml"
# Fallback repeats what stands before it for older programs.
_LEFT_OUT = {"Fallback", "del", "moveFrom", "instrText", "delText", "pict"}
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")


def read_docx(data: bytes) -> Extracted:
    """Return the text of a .docx file, its notes at the end."""
    archive = Archive(data)
    builder = TextBuilder()
    levels = _heading_levels(archive.read(_STYLES)) if _STYLES in archive else {}
    for part in ("word/document.xml", *(name for name in _NOTES if name in archive)):
        body = _Body(builder, levels)
        parse(archive.read(part), start=body.start, end=body.end, text=body.text)
    return builder.result(core_title(archive.read(_CORE)) if _CORE in archive else "")


def _heading_levels(styles: bytes) -> dict[str, int]:
    """The level of each style that is a heading; names of built-in styles are English in every language."""
    levels: dict[str, int] = {}
    style = ""

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal style
        if name == "style":
            style = attributes.get("styleId", "")
        elif name == "name" and style:
            value = attributes.get("val", "").lower()
            if match := re.fullmatch(r"heading ([1-6])", value):
                levels[style] = int(match[1])
            elif value == "title":
                levels[style] = 1
        elif name == "outlineLvl" and style and attributes.get("val", "") in {"0", "1", "2", "3", "4", "5"}:
            levels.setdefault(style, int(attributes["val"]) + 1)

    def end(name: str) -> None:
        nonlocal style
        if name == "style":
            style = ""

    parse(styles, start=start, end=end, text=lambda _: None)
    return levels


class _Body:
    def __init__(self, builder: TextBuilder, levels: dict[str, int]) -> None:
        self._paragraphs, self._levels = Paragraphs(builder), levels
        self._level = self._left_out = 0
        self._in_text = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _LEFT_OUT or self._left_out:
            self._left_out += 1
        elif name == "t":
            self._in_text = True
        elif name == "pStyle":
            self._level = self._levels.get(attributes.get("val", ""), 0)
        elif name == "outlineLvl" and attributes.get("val", "") in {"0", "1", "2", "3", "4", "5"}:
            self._level = int(attributes["val"]) + 1
        elif name == "tab":
            self._paragraphs.text("\t")
        elif name in ("br", "cr"):
            self._paragraphs.text("\n")
        elif name == "noBreakHyphen":
            self._paragraphs.text("-")
        elif name == "tr":
            self._paragraphs.begin_row()

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self._paragraphs.end_paragraph(self._level)
            self._level = 0
        elif name == "tc":
            self._paragraphs.end_cell()
        elif name == "tr":
            self._paragraphs.end_row()

    def text(self, text: str) -> None:
        if self._in_text and not self._left_out:
            self._paragraphs.text(text)
