"""HTML -> text: headings kept, scripts and styles dropped, one line a table row."""

import re
from html.parser import HTMLParser

from edge_qa.documents.readers.extracted import MAX_CHARACTERS, Extracted, TextBuilder, joined_cells
from edge_qa.errors import InputError

_DROPPED = {
    "script",
    "style",
    "template",
    "noscript",
    "svg",
    "math",
    "iframe",
    "object",
    "select",
    "textarea",
    "audio",
    "video",
}
_BLOCKS = {
    *("p", "div", "section", "article", "aside", "main", "header", "footer", "nav", "ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "blockquote", "figure", "figcaption", "form", "fieldset"),
    *("address", "details", "summary", "hr", "pre", "body", "html"),
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# What ends a dropped element that nobody closed.
_ENDS_DROPPED = {"body", "html"}
_SPACE = re.compile(r"[ \t\r\n\f]+")
# Tags that may begin before one ends; a script compares, and an attribute may hold this character.
_MOST_OPEN = 50
# The parser of the standard library looks for the end of each of these anew, to the end of the page.
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<!\[.*?(?:\]>|\Z)|<\?.*?(?:>|\Z)", re.S)


def read_html(text: str) -> Extracted:
    """Return the text of a page. Raises InputError if the page is too long."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"is a page of more than {MAX_CHARACTERS} characters")
    builder = TextBuilder()
    return builder.result(read_html_into(text, builder))


def read_html_into(text: str, builder: TextBuilder) -> str:
    """Append the text of a page to another, and return the page's title."""
    parser = _Parser(builder)
    parser.feed(_without_open_tags(_COMMENT.sub(" ", text)))
    parser.close()
    parser.end_block()
    return "".join(parser.title)


def _without_open_tags(text: str) -> str:
    """The page, where many tags begin and none ends made text, because each would be read to the end of the page."""
    parts = text.split(">")
    for place, part in enumerate(parts):
        if part.count("<") > _MOST_OPEN:
            head, mark, tail = part.rpartition("<")
            last = place == len(parts) - 1
            parts[place] = head.replace("<", "&lt;") + ("&lt;" if last else mark) + tail
    return ">".join(parts)


class _Parser(HTMLParser):
    """Gathers the text of a block until the next one begins; nothing here nests, so nothing can be too deep."""

    def __init__(self, builder: TextBuilder) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = builder
        self.title: list[str] = []
        self._text: list[str] = []
        self._cells: list[str] | None = None
        self._dropped = ""  # the element that is being left out
        self._depth = 0  # how many of that kind are open
        self._level = self._pre = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            self._depth += tag == self._dropped
        elif tag in _DROPPED:
            self._dropped, self._depth = tag, 1
        elif tag == "title":
            self._in_title = not self.title
        elif tag in _HEADINGS:
            self.end_block()
            self._level = _HEADINGS[tag]
        elif tag == "tr":
            self.end_block()
            self._cells = []
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append("".join(self._text))
            self._text.clear()
        elif tag == "br":
            self._text.append("\n")
        elif tag in _BLOCKS and self._cells is None:
            self.end_block()
            self._pre += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _DROPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._depth -= tag == self._dropped
            if not self._depth or tag in _ENDS_DROPPED:
                self._dropped = ""
        elif tag == "title":
            self._in_title = False
        elif tag in _HEADINGS or tag in ("tr", "table") or (tag in _BLOCKS and self._cells is None):
            self.end_block()
            self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._dropped:
            self._text.append(data if self._pre else _SPACE.sub(" ", data))

    def end_block(self) -> None:
        """What was gathered is a block."""
        text = "".join(self._text)
        self._text.clear()
        if self._cells is not None:
            text, self._cells = joined_cells([*self._cells, text]), None
        elif not self._pre:
            text = "\n".join(" ".join(line.split(" ")).strip() for line in text.split("\n"))
            text = re.sub(r" {2,}", " ", text)
        self.builder.add(" ".join(text.split()) if self._level else text, level=self._level)
        self._level = 0
