"""The pictures of the benchmark's page, and the one that stands alone in the README."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side.summary import Row
from edge_qa.reporting import html
from edge_qa.reporting.html import Markup

_WIDTH, _HEIGHT = 860, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 14, 46
# One colour a family of contenders; ours is the page's accent.
_FAMILIES = (
    ("edge-qa", "var(--accent)"),
    ("optimum", "#d9822b"),
    ("onnxruntime", "#2a9d5c"),
    ("transformers", "#a04fc4"),
    ("openvino", "var(--second)"),
)
# The variants are for the page.
_PICTURED = (
    *("edge-qa-compacted", "edge-qa-int8-budget", "edge-qa-int8", "edge-qa-fp16", "optimum-int8", "optimum-default"),
    *("onnxruntime-int8-static", "onnxruntime-int8-dynamic", "onnxruntime-fp32", "transformers-fp32"),
)
# For a picture outside the page: no variables of its style sheet there.
_ALONE = {"var(--accent)": "#1f6feb", "var(--second)": "#8b949e"}


def colour_of(name: str) -> str:
    """Return the colour of a contender's family."""
    return next((colour for family, colour in _FAMILIES if name.startswith(family)), "var(--ink)")


def latency_against_f1(rows: Sequence[Row]) -> Markup:
    """A numbered dot a contender, and who the numbers are: left and up is better."""
    shown = [(row, row.times.p50, row.f1) for row in rows if row.times is not None and row.f1 is not None]
    columns = ticks(0, max(x for _, x, _ in shown))
    lowest, highest = min(y for _, _, y in shown), max(y for _, _, y in shown)
    margin = max(0.5, (highest - lowest) * 0.15)
    levels = ticks(lowest - margin, highest + margin)
    x, y = _scales(columns, levels)
    parts = _frame(columns, levels, "milliseconds a question, median", "F1")
    legend = []
    taken: list[tuple[float, float]] = []
    for number, (row, milliseconds, f1) in enumerate(sorted(shown, key=lambda item: (item[1], -item[2])), 1):
        place = _free_place((x(milliseconds), y(f1)), taken)
        dot = _numbered(number, *place, colour_of(row.name))
        if place[1] != y(f1):  # moved aside: a line leads to where it belongs
            parts.append(_line([(x(milliseconds), y(f1)), place], colour_of(row.name), 1))
        parts.append(dot)
        mark = html.svg(20, 20, _numbered(number, 10, 10, colour_of(row.name)), label="")
        legend.append((mark, row.label, f"{milliseconds:.1f} ms", f"{f1:.2f}"))
    picture = html.svg(_WIDTH, _HEIGHT, *parts, label="F1 against median milliseconds a question, a dot a contender")
    return html.figure(picture, html.table(("", "", "median", "F1"), legend, align="llrr"))


def latency_against_length(rows: Sequence[Row]) -> Markup:
    """A line a contender: median milliseconds of the questions in each band of lengths."""
    shown = [row for row in rows if len(row.by_length) > 1]
    if not shown:
        return html.paragraphs(["Too few questions for a line against length."], note=True)
    columns = ticks(0, max(tokens for row in shown for tokens, _ in row.by_length))
    levels = ticks(0, max(value for row in shown for _, value in row.by_length))
    x, y = _scales(columns, levels)
    parts = _frame(columns, levels, "tokens of the question and its text", "milliseconds a question, median")
    legend: list[tuple[Markup, str]] = []
    seen: dict[str, int] = {}
    for row in shown:
        colour = colour_of(row.name)
        seen[colour] = seen.get(colour, -1) + 1
        dashes = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4")[seen[colour] % 6]
        parts.append(_line([(x(tokens), y(value)) for tokens, value in row.by_length], colour, 2, dashes))
        legend.append((html.svg(30, 12, _line([(0, 6), (30, 6)], colour, 2, dashes), label=""), row.label))
    picture = html.svg(_WIDTH, _HEIGHT, *parts, label="Median milliseconds against tokens, a line a contender")
    return html.figure(picture, html.table(("", ""), legend))


def bars(
    rows: Sequence[Row], attribute: str, unit: str, digits: int, *, extra: Sequence[tuple[str, float]] = ()
) -> Markup:
    """A bar a contender that has the value. extra: (label, value) of bars at the end."""
    shown = [(row.label, getattr(row, attribute), colour_of(row.name)) for row in rows]
    shown += [(label, value, "var(--second)") for label, value in extra]
    return _bars([item for item in shown if item[1] is not None], unit, digits, width=_WIDTH)


def stacked(splits: Sequence[tuple[str, Mapping[str, float]]]) -> Markup:
    """Bars of one length each, divided by kind of node: (name, kind -> milliseconds)."""
    colours = ("var(--accent)", "#d9822b", "#2a9d5c", "#a04fc4", "#c2410c", "#0e7490", "#be185d", "var(--second)")
    kinds: list[str] = []
    for _, split in splits:
        kinds += [kind for kind in list(split)[:6] if kind not in kinds]
    kinds = [*kinds[: len(colours) - 1], "the rest"]
    left, wide, parts = 160.0, _WIDTH - 180.0, []
    for number, (name, split) in enumerate(splits):
        whole, at = sum(split.values()) or 1.0, left
        parts.append(html.text(left - 10, number * 44 + 24, name, class_="end"))
        rest = sum(value for kind, value in split.items() if kind not in kinds)
        for kind, colour in zip(kinds, colours, strict=False):
            value = rest if kind == "the rest" else split.get(kind, 0.0)
            length = value / whole * wide
            parts.append(
                html.element("rect", x=at, y=number * 44 + 6, width=length, height=28, style=f"fill: {colour}")
            )
            at += length
    shown = []
    for kind, colour in zip(kinds, colours, strict=False):
        mark = html.svg(12, 12, html.element("rect", x=0, y=0, width=12, height=12, style=f"fill: {colour}"), label="")
        values = [
            sum(value for other, value in split.items() if other not in kinds)
            if kind == "the rest"
            else split.get(kind, 0)
            for _, split in splits
        ]
        shown.append((mark, kind, *(f"{value:.2f} ms" for value in values)))
    picture = html.svg(_WIDTH, 44 * len(splits), *parts, label="The time of one inference by kind of node")
    return html.figure(
        picture, html.table(("", "", *(name for name, _ in splits)), shown, align="ll" + "r" * len(splits))
    )


def readme_picture(rows: Sequence[Row], words: str) -> bytes:
    """Return an SVG file: three panels of bars of the main contenders, for light and dark. words: one line below."""
    chosen = [row for row in rows if row.times is not None and row.name in _PICTURED]
    chosen.sort(key=lambda row: row.p50_ms or 0.0)  # in every panel, so that a row is found again
    panels = [
        ("milliseconds a question, median", "p50_ms", "ms", 1),
        ("cold start: process to answer", "start_s", "s", 2),
        ("peak memory", "peak_mb", "MB", 0),
    ]
    parts: list[Markup] = []
    height = 0.0
    for title, attribute, unit, digits in panels:
        shown = [(row.label, getattr(row, attribute), colour_of(row.name)) for row in chosen]
        shown = [item for item in shown if item[1] is not None]
        if not shown:
            continue
        parts.append(html.text(10, height + 20, title, class_="strong"))
        inside = _bar_parts(shown, unit, digits, width=_WIDTH)
        parts.append(html.element("g", *inside, transform=f"translate(0 {height + 28:.0f})"))
        height += 28 + 22 * len(shown) + 14
    parts.append(html.text(10, height + 14, words, class_="soft"))
    style = (
        "text { fill: #1b1f24; font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif; } "
        ".soft { fill: #5b6470; font-size: 10px; } .strong { font-weight: 600; } .end { text-anchor: end; } "
        "@media (prefers-color-scheme: dark) { text { fill: #e4e8ec; } .soft { fill: #9da7b3; } }"
    )
    whole = html.element(
        "svg",
        html.element("style", Markup(style)),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height + 26:.0f}",
        width=_WIDTH,
        height=round(height + 26),
        role="img",
        aria_label="Edge QA beside other ways to answer questions on this CPU",
    )
    text = str(whole)
    for variable, colour in _ALONE.items():
        text = text.replace(variable, colour)
    return f"{text}\n".encode()


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`, four to eight of them."""
    rough = max(high - low, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * count for count in range(first, last + 1)]


def _scales(columns: Sequence[float], levels: Sequence[float]) -> tuple[Any, Any]:
    def x(value: float) -> float:
        return _LEFT + (value - columns[0]) / (columns[-1] - columns[0]) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - levels[0]) / (levels[-1] - levels[0]) * (_HEIGHT - _TOP - _BOTTOM)

    return x, y


def _frame(columns: Sequence[float], levels: Sequence[float], below: str, beside: str) -> list[Markup]:
    x, y = _scales(columns, levels)
    parts = []
    for tick in columns:
        parts.append(_line([(x(tick), y(levels[0])), (x(tick), y(levels[-1]))], "var(--line)", 1))
        parts.append(html.text(x(tick), y(levels[0]) + 16, f"{tick:g}", class_="soft middle"))
    for tick in levels:
        parts.append(_line([(x(columns[0]), y(tick)), (x(columns[-1]), y(tick))], "var(--line)", 1))
        parts.append(html.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", class_="soft end"))
    middle = (columns[0] + columns[-1]) / 2
    parts.append(html.text(x(middle), _HEIGHT - 8, below, class_="soft middle"))
    parts.append(html.text(_LEFT + 6, _TOP + 12, beside, class_="soft"))
    return parts


def _free_place(wanted: tuple[float, float], taken: list[tuple[float, float]]) -> tuple[float, float]:
    """The nearest height at which a dot covers none of those before it."""
    x, y = wanted
    for shift in sorted(range(-120, 121, 4), key=abs):
        free = all(math.hypot(x - other_x, y + shift - other_y) >= 18 for other_x, other_y in taken)
        if free and _TOP + 10 < y + shift < _HEIGHT - _BOTTOM - 10:
            y += shift
            break
    taken.append((x, y))
    return x, y


def _numbered(number: int, x: float, y: float, colour: str) -> Markup:
    dot = html.element("circle", cx=float(x), cy=float(y), r=9.0, style=f"fill: {colour}")
    style = "fill: white; font-size: 10px"
    words = html.element("text", number, x=float(x), y=y + 3.5, class_="middle strong", style=style)
    return html.element("g", dot, words)


def _bars(shown: Sequence[tuple[str, float, str]], unit: str, digits: int, *, width: int) -> Markup:
    parts = _bar_parts(shown, unit, digits, width=width)
    return html.figure(html.svg(width, 22 * len(shown), *parts, label=f"A bar a contender, in {unit}"))


def _bar_parts(shown: Sequence[tuple[str, float, str]], unit: str, digits: int, *, width: int) -> list[Markup]:
    left, right = 290, 90
    largest = max((value for _, value, _ in shown), default=0) or 1
    parts = []
    for index, (label, value, colour) in enumerate(shown):
        length = max(1.0, value / largest * (width - left - right))
        parts.append(html.text(left - 10, index * 22 + 15, label, class_="end"))
        style = f"fill: {colour}"
        parts.append(html.element("rect", x=left, y=index * 22 + 3, width=length, height=15, rx=2, style=style))
        parts.append(html.text(left + length + 7, index * 22 + 15, f"{value:.{digits}f} {unit}"))
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str, width: int, dashes: str = "") -> Markup:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    style = f"fill: none; stroke: {colour}; stroke-width: {width}" + (f"; stroke-dasharray: {dashes}" if dashes else "")
    return html.element("path", d=path, style=style)
