"""Offline pages: well-formed, with nothing to load, whatever text is put into them."""

import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from html.parser import HTMLParser

import pytest

from edge_qa.reporting.html import (
    Markup,
    Section,
    bars,
    element,
    escape,
    figure,
    grey_png,
    page,
    paragraphs,
    picture,
    svg,
    table,
    text,
)

HOSTILE = (
    "</title><script>alert('x')</script> & \"quoted\" <img src=http://evil.example/x.png onerror=a> "
    "\x00\x1b\ud800\ufffe é"
)


def whole_page(content: str) -> str:
    """A page with that text everywhere that text can be."""
    drawing = svg(100, 50, text(1, 2, content), picture(grey_png(1, 1, b"\x40\xff"), 0, 0, 10, 10), label=content)
    blocks = (
        paragraphs([content]),
        paragraphs([content], note=True),
        table((content, "n"), [(content, 1), ("b", 2.5)], align="lr", caption=content),
        figure(drawing, bars([(content, 2.0, content), ("b", 1.0, "one")], label=content)),
        element("p", "x", title=content),
    )
    return page(content, [Section(content, blocks)], lead=content, footer=content).decode("utf-8")


def parse(content: str) -> ElementTree.Element:
    return ElementTree.fromstring(content.removeprefix("<!DOCTYPE html>"))


class Balance(HTMLParser):
    """What an HTML reader finds, apart from elements that have no end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("content", ["A plain name", HOSTILE, "", "]]>", "<!--", "&amp;", "a\nb\tc"])
def test_a_page_is_well_formed_for_xml_and_for_html(content):
    result = whole_page(content)
    assert parse(result).tag == "html"
    reader = Balance()
    reader.feed(result)
    assert reader.open == []
    assert set(reader.tags).isdisjoint({"script", "link", "iframe", "object", "base", "form", "input"})


def test_hostile_text_stays_text():
    result = whole_page(HOSTILE)
    shown = HOSTILE
    for bad in "\x00\x1b\ud800\ufffe":
        shown = shown.replace(bad, "\ufffd")
    root = parse(result)
    assert root.find("head/title").text == shown
    assert root.find("body/header/h1").text == shown
    assert root.find("body/main/section/p").text == shown
    assert root.find(".//td").text == shown
    assert root.find(".//svg").get("aria-label") == shown
    assert root.find(".//svg/text").text == shown
    reader = Balance()
    reader.feed(result)
    assert "onerror" not in {name for name, _ in reader.attributes}
    assert "img" not in reader.tags


def test_nothing_is_loaded():
    reader = Balance()
    reader.feed(whole_page("A name"))
    addresses = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href", "action", "data")]
    assert addresses
    assert all(value.startswith("data:image/png;base64,") for value in addresses)
    result = whole_page("A name")
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", result)
    (policy,) = [value for name, value in reader.attributes if name == "content" and "-src" in value]
    assert policy.startswith("default-src 'none';")


def test_light_dark_and_paper():
    style = parse(whole_page("x")).find("head/style").text
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_the_same_content_gives_the_same_bytes():
    assert whole_page("x") == whole_page("x")


def test_markup_is_not_escaped_twice():
    assert escape(Markup("<b>x</b>")) == "<b>x</b>"
    assert escape("<b>") == "&lt;b&gt;"
    assert element("p", "a<b", element("b", "&"), 3) == "<p>a&lt;b<b>&amp;</b>3</p>"
    assert (
        element("rect", stroke_width=1.25, class_="frame", x=3.0) == '<rect stroke-width="1.25" class="frame" x="3"/>'
    )
    assert element("p") == "<p></p>"


def test_a_table_holds_its_cells_in_order():
    rows = [("a", "1"), ("b", "2")]
    root = ElementTree.fromstring(table(("name", "count"), rows, align="lr", caption="Counts"))
    assert [cell.text for cell in root.iter("th")] == ["name", "count"]
    assert [[cell.text for cell in row] for row in root.find(".//tbody")] == [["a", "1"], ["b", "2"]]
    assert [cell.get("class") for cell in root.iter("td")] == [None, "r"] * 2
    assert root.find(".//caption").text == "Counts"


def test_a_table_with_a_missing_cell_is_refused():
    with pytest.raises(ValueError, match="argument 2"):
        table(("a", "b"), [("only one",)])


def test_bars_are_to_scale():
    root = ElementTree.fromstring(bars([("a", 10, "ten"), ("b", 2.5, "2.5"), ("c", 0, "none")], label="x"))
    widths = [float(bar.get("width")) for bar in root.iter("rect")]
    assert widths[1] == pytest.approx(widths[0] / 4)
    assert widths[2] == 0
    assert [node.text for node in root.iter("text")] == ["a", "ten", "b", "2.5", "c", "none"]
    assert ElementTree.fromstring(bars([("a", 0, "0")], label="x")) is not None
    assert ElementTree.fromstring(bars([], label="x")) is not None


def test_a_png_holds_its_pixels():
    pixels = bytes([0, 255, 128, 255, 255, 0, 7, 255, 8, 255, 9, 255])
    content = grey_png(3, 2, pixels)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 8, 4, 0, 0, 0)  # 8 bits, grey with opacity
    assert zlib.decompress(chunks[b"IDAT"]) == b"\0" + pixels[:6] + b"\0" + pixels[6:]
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(("width", "height", "pixels"), [(2, 2, b"1234567"), (0, 5, b"")])
def test_pixels_that_do_not_fit_are_refused(width, height, pixels):
    with pytest.raises(ValueError, match="wanted"):
        grey_png(width, height, pixels)


def test_long_names_of_bars_have_room():
    """At most 7 pixels a letter, left of bars that stay as long as they are."""
    short, long = (bars([("n" * size, 2.0, "two")], label="") for size in (10, 60))
    (small, large) = (ElementTree.fromstring(drawing) for drawing in (short, long))
    assert float(large.find("text").get("x")) >= 7 * 60
    assert large.find("rect").get("width") == small.find("rect").get("width")
    assert float(small.get("width")) == 720
