"""Offline pages: one HTML file with nothing to load and nothing to run.

Everything that is not `Markup` is escaped, wherever it is put, so a model may be called anything.
The pages are well-formed XML, follow the reader's light or dark setting, and print on paper.
"""

import base64
import html
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What XML does not allow: control characters, lone surrogates, and the two that are no characters.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --line: #d5dae0; --paper: #ffffff;
  --panel: #f5f7f9; --accent: #1f6feb; --second: #9aa4b0; --warn: #b35900; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9da7b3; --line: #3a424c; --paper: #15181c; --panel: #1d2126;
    --accent: #58a6ff; --second: #6b7682; --warn: #f0a050; }
  .picture { filter: invert(0.9); } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 1140px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
p { margin: 0.5rem 0; max-width: 78ch; }
.lead { color: var(--soft); font-size: 1.05rem; margin-top: 0.3rem; overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: 0.88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.6rem 0; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 0.3rem; }
th, td { padding: 0.22rem 0.9rem 0.22rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
.r { text-align: right; }
td.r { white-space: nowrap; }
svg { display: block; max-width: 100%; height: auto; }
figure { overflow-x: auto; }
td svg { max-width: none; }
/* Narrower, and their words cannot be read: they are scrolled instead. */
figure > svg { min-width: 600px; }
svg text { fill: var(--ink); font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg .soft { fill: var(--soft); }
svg .strong { font-weight: 600; }
svg .hatched { fill: var(--panel); }
svg .hatch { stroke: var(--line); stroke-width: 1.5; fill: none; }
svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
svg .frame { fill: none; stroke: var(--soft); stroke-width: 1; }
svg .accent { fill: var(--accent); }
svg .second { fill: var(--second); }
footer { margin-top: 3rem; color: var(--soft); font-size: 0.82rem; overflow-wrap: anywhere; }
@media print { body { padding: 0; max-width: none; font-size: 11px; } .wide { overflow: visible; }
  figure { overflow: visible; } figure > svg { min-width: 0; }
  figure, tr, svg { break-inside: avoid; } h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
# Elements that are written without an end where they hold nothing.
_CLOSED = frozenset({"meta", "br", "img", "rect", "line", "path", "circle", "image", "use"})


class Markup(str):
    """Text that is markup already and is put into a page as it is."""

    __slots__ = ()


Content = Markup | str | int | float
Attribute = str | int | float


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Markup, ...]


def escape(content: Content) -> Markup:
    """Return text as markup: escaped, and what no page may contain replaced by U+FFFD. Markup stays as it is."""
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(_FORBIDDEN.sub("\ufffd", str(content)), quote=True))


def element(tag: str, *children: Content, **attributes: Attribute) -> Markup:
    """Return an element; attributes are written with "-" for "_", and without the "_" that ends `class_`.

    Numbers are rounded to two decimals.
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items()
    )
    content = "".join(map(escape, children))
    if not content and tag in _CLOSED:
        return Markup(f"<{tag}{shown}/>")
    return Markup(f"<{tag}{shown}>{content}</{tag}>")


def _number(value: Attribute) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def page(title: str, sections: Iterable[Section], *, lead: str = "", footer: str = "") -> bytes:
    """Return a whole page as UTF-8."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # Nothing may be loaded and nothing run, whatever is in the text.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    top = element("header", element("h1", title), element("p", lead, class_="lead") if lead else "")
    parts = [element("section", element("h2", part.title), *part.blocks) for part in sections]
    end = element("footer", footer) if footer else ""
    body = element("body", top, element("main", *parts), end)
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n".encode()


def paragraphs(texts: Iterable[Content], *, note: bool = False) -> Markup:
    """Return one paragraph for each text; a note is set smaller."""
    return Markup("".join(element("p", text, class_="note") if note else element("p", text) for text in texts))


def table(
    headers: Sequence[Content], rows: Iterable[Sequence[Content]], *, align: str = "", caption: str = ""
) -> Markup:
    """Return a table. align: one letter a column, l or r, such as "lrr"; left where it ends."""
    classes = ["r" if letter == "r" else "" for letter in align.ljust(len(headers), "l")]

    def row(tag: str, cells: Sequence[Content]) -> Markup:
        found = zip(cells, classes, strict=True)
        return element("tr", *(element(tag, cell, **({"class_": name} if name else {})) for cell, name in found))

    head = element("thead", row("th", headers)) if any(headers) else ""
    body = element("tbody", *(row("td", cells) for cells in rows))
    whole = element("table", element("caption", caption) if caption else "", head, body)
    return element("div", whole, class_="wide")


def figure(*blocks: Content) -> Markup:
    """Return blocks that belong together and are not torn apart on paper."""
    return element("figure", *blocks, style="margin: 0.8rem 0")


# Pictures


def svg(width: float, height: float, *children: Content, label: str) -> Markup:
    """Return an inline picture of that size in pixels, which shrinks with the page; label: what it shows, in words."""
    box = f"0 0 {_number(float(width))} {_number(float(height))}"
    return element(
        "svg", *children, width=float(width), height=float(height), viewBox=box, role="img", aria_label=label
    )


def text(x: float, y: float, content: Content, *, class_: str = "") -> Markup:
    """Return text in a picture, its base line beginning at (x, y)."""
    return element("text", content, x=float(x), y=float(y), **({"class_": class_} if class_ else {}))


def bars(rows: Sequence[tuple[str, float, str]], *, label: str, width: int = 720) -> Markup:
    """Return a bar chart: (name, value, value in words) a row, all on one scale that begins at 0.

    width: in pixels, and more where names are long.
    """
    left, right, step = 220, 150, 24
    longer = max(0, 10 + 7 * max((len(name) for name, _, _ in rows), default=0) - left)
    left, width = left + longer, width + longer
    largest = max((value for _, value, _ in rows), default=0) or 1
    parts = []
    for index, (name, value, words) in enumerate(rows):
        y, length = index * step, value / largest * (width - left - right)
        parts.append(text(left - 10, y + 15, name, class_="end"))
        parts.append(element("rect", x=left, y=y + 4, width=float(length), height=15, rx=2, class_="accent"))
        parts.append(text(left + length + 8, y + 15, words))
    return svg(width, step * len(rows), *parts, label=label)


def picture(png: bytes, x: float, y: float, width: float, height: float) -> Markup:
    """Return a PNG inside a picture, its pixels kept sharp; it is inverted for readers in the dark."""
    return element(
        "image",
        href=f"data:image/png;base64,{base64.b64encode(png).decode()}",
        x=float(x),
        y=float(y),
        width=float(width),
        height=float(height),
        preserveAspectRatio="none",
        style="image-rendering: pixelated",
        class_="picture",
    )


def grey_png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of grey pixels with opacity, two bytes each (grey 0..255, opacity 0..255), row by row."""
    if len(pixels) != 2 * width * height or not pixels:
        raise ValueError(f"pixels: got {len(pixels)} bytes, wanted {2 * width * height} for {width} x {height}")
    rows = b"".join(b"\0" + pixels[start : start + 2 * width] for start in range(0, len(pixels), 2 * width))
    header = struct.pack(">IIBBBBB", width, height, 8, 4, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
