"""The reliability diagrams: of the answers of each confidence, how many are right; from reliability.json."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from docs.generate.figures import RESULTS
from edge_qa.reporting.html import Markup, element, svg, text

# Pixels: a panel, and what stands around it.
_SIDE, _LEFT, _TOP, _RIGHT, _BOTTOM = 190, 44, 30, 14, 44
_COLUMNS = 3
_INK, _ACCENT = "currentColor", "var(--color-brand-primary, #1f6feb)"


def reliability_diagram() -> str:
    """Return one picture with a panel for each pair of bundle and questions."""
    panels = json.loads((RESULTS / "reliability.json").read_text(encoding="utf-8"))["diagrams"]
    wide, high = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    drawn = [
        element("g", *_panel(panel), transform=f"translate({place % _COLUMNS * wide} {place // _COLUMNS * high})")
        for place, panel in enumerate(panels)
    ]
    words = "; ".join(f"{panel['title']}: error {panel['error']:.3f}" for panel in panels)
    rows = -(-len(panels) // _COLUMNS)
    picture = svg(wide * min(_COLUMNS, len(panels)), high * rows, *drawn, label=f"Share right by confidence. {words}")
    return f'<div class="wide-picture reliability">{picture}</div>\n'


def _panel(panel: Mapping[str, Any]) -> Sequence[Markup]:
    def x(share: float) -> float:
        return _LEFT + share * _SIDE

    def y(share: float) -> float:
        return _TOP + (1 - share) * _SIDE

    parts = [
        _label(_LEFT, _TOP - 14, panel["title"]),
        element("rect", x=x(0), y=y(1), width=_SIDE, height=_SIDE, fill="none", stroke=_INK, stroke_opacity="0.4"),
        element("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), stroke=_INK, stroke_opacity="0.4", stroke_dasharray="4 4"),
        _label(_LEFT + _SIDE / 2, _TOP + _SIDE + 32, "confidence", anchor="middle"),
        _label(x(0.04), y(0.93), f"error {panel['error']:.3f}"),
    ]
    for share in (0, 0.5, 1):
        parts.append(_label(x(share), _TOP + _SIDE + 15, f"{share:g}", anchor="middle"))
        parts.append(_label(_LEFT - 6, y(share) + 4, f"{share:.0%}", anchor="end"))
    points = " ".join(f"{x(one['confidence']):.1f},{y(one['right']):.1f}" for one in panel["bins"])
    parts.append(element("polyline", points=points, fill="none", stroke=_ACCENT, stroke_width="1.5"))
    most = max(one["answers"] for one in panel["bins"])
    for one in panel["bins"]:
        radius = 2.0 + 6.0 * (one["answers"] / most) ** 0.5  # the area says how many answers there are
        words = element("title", f"{one['answers']} answers: {one['confidence']:.1%} said, {one['right']:.1%} right")
        parts.append(element("circle", words, cx=x(one["confidence"]), cy=y(one["right"]), r=radius, fill=_ACCENT))
    return parts


def _label(x: float, y: float, content: str, *, anchor: str = "start") -> Markup:
    placed = text(x, y, content)
    return Markup(placed.replace("<text", f'<text fill="{_INK}" font-size="12" text-anchor="{anchor}"', 1))
