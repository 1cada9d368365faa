"""Where the weights of a model are: one picture for each layer, a pixel for each tile of 32 x 32 weights.

All pictures lie the same way: the channels that pass from layer to layer run from top to bottom,
the heads of the attention and the neurons of the feed-forward blocks from left to right. So what is
removed with a head or a neuron is a column everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.inspection.plain_words import percent
from converters.inspection.recognition import HeadState, LayerReport
from converters.inspection.zero_patterns import TILE, is_nonzero, tile_density
from converters.model.encoder import Array
from edge_qa.reporting.html import Markup, element, grey_png, picture, svg, text

_LEFT, _WIDTH, _GAP = 128, 1080, 12  # pixels
_TOP = 20
_LARGEST_PIXEL, _CELL = 8.0, 15
_LIGHTEST, _DARKEST = 214, 24  # grey of a tile with one weight, and of a full one; an empty one is white

_CHANNELS_IN = ("attention.output", "bottleneck.output", "down")  # their inputs lie across, else their outputs
_LABELS = {
    "bottleneck.input": "narrowing",
    "bottleneck.shared": "narrowing Q, K",
    "attention.query": "query",
    "attention.key": "key",
    "attention.value": "value",
    "attention.output": "output",
    "bottleneck.output": "widening",
}
_ATTENTION = tuple(part for part in _LABELS if part.startswith("attention."))

Tiles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Map:
    """One matrix, and the share of its stored weights that are zero in words.

    tiles: (channels, heads or neurons), the share of nonzero weights in each; NaN where they are removed.
    """

    name: str
    zeros: str
    tiles: Tiles


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The matrices of one layer, and what is known of its heads and neurons, if anything is."""

    index: int
    maps: tuple[Map, ...]
    report: LayerReport | None


def layer_maps(weights: Mapping[str, Array], reports: Sequence[LayerReport], hidden: int) -> list[LayerMaps]:
    """Return the maps of every layer.

    weights: by name, (out, in) each. reports: one for each layer, or none for a model that is not known
    so well. hidden: channels between layers, for layers of which nothing is left.
    """
    parts: dict[int, dict[str, Array]] = {index: {} for index in range(len(reports))}
    for name, weight in weights.items():
        place, _, part = name.removeprefix("encoder.layer.").partition(".")
        if place.isdecimal():
            parts.setdefault(int(place), {})[part] = weight
    rows = -(-hidden // TILE)
    return [
        LayerMaps(
            index, tuple(_maps(held, reports[index] if reports else None, rows)), next(iter(reports[index:]), None)
        )
        for index, held in sorted(parts.items())
    ]


def _maps(held: Mapping[str, Array], report: LayerReport | None, rows: int) -> Iterator[Map]:
    blocks = len(report.feed_forwards) if report else 1 + max((_block(part) for part in held), default=0)
    feed_forward = {f"ffn.{i}.{side}": _block_label(i, side, blocks) for i in range(blocks) for side in ("up", "down")}
    *first, last = _LABELS.items()
    for part, label in (*first, *feed_forward.items(), last):
        weight = held.get(part)
        tiles = None if weight is None else _lie(part, weight)
        if report is not None and part in _ATTENTION:
            tiles = _in_place_of_heads(tiles, report, rows)
        elif report is not None and part in feed_forward:
            tiles = _up_to_width(tiles, report.feed_forwards[_block(part)].original, rows)
        if tiles is not None and tiles.size:
            zeros = (
                "gone" if weight is None else f"{percent(1 - np.count_nonzero(is_nonzero(weight)) / weight.size)} zero"
            )
            yield Map(label, zeros, tiles)


def _block(part: str) -> int:
    return int(part.split(".")[1]) if part.startswith("ffn.") else 0


def _block_label(index: int, side: str, blocks: int) -> str:
    return f"FFN{f' {index}' if blocks > 1 else ''} {'in' if side == 'up' else 'out'}"


def _lie(part: str, weight: Array) -> Tiles:
    """The tiles of a matrix (out, in), with heads or neurons across."""
    tiles = tile_density(weight)
    return tiles if part.endswith(_CHANNELS_IN) else tiles.T


def _in_place_of_heads(tiles: Tiles | None, report: LayerReport, rows: int) -> Tiles:
    """Put each head where it once was; side by side, if that is not known or tiles do not end with heads."""
    if tiles is not None and report.heads == report.heads_original:
        return tiles
    whole = np.full(
        (rows if tiles is None else len(tiles), -(-report.heads_original * report.head_size // TILE)), np.nan
    )
    if tiles is None:
        return whole
    if report.head_size % TILE or tiles.shape[1] * TILE != report.heads * report.head_size:
        whole[:, : tiles.shape[1]] = tiles[:, : whole.shape[1]]
        return whole
    numbers = np.array(report.head_numbers)[:, None] * (report.head_size // TILE)
    whole[:, (numbers + np.arange(report.head_size // TILE)).ravel()] = tiles
    return whole


def _up_to_width(tiles: Tiles | None, original: int | None, rows: int) -> Tiles | None:
    """Fill a narrowed block up to the width that config.json gives, with what is removed."""
    width = -(-(original or 0) // TILE)
    if tiles is None:
        return np.full((rows, width), np.nan) if width else None
    missing = max(0, width - tiles.shape[1])
    return np.pad(tiles, ((0, 0), (0, missing)), constant_values=np.nan)


# Drawing


def draw_layers(layers: Sequence[LayerMaps]) -> Iterator[Markup]:
    """Yield one picture for each layer, all at one scale."""
    tiles = max((sum(entry.tiles.shape[1] for entry in layer.maps) for layer in layers), default=1)
    gaps = max((len(layer.maps) for layer in layers), default=1) * _GAP
    scale = min(_LARGEST_PIXEL, (_WIDTH - _LEFT - gaps) / tiles)
    for layer in layers:
        yield _draw(layer, scale)


def _draw(layer: LayerMaps, scale: float) -> Markup:
    parts = [*_margin(layer)]
    x, height = float(_LEFT), 78.0
    for entry in layer.maps:
        rows, columns = entry.tiles.shape
        wide, high = columns * scale, rows * scale
        parts.append(text(x, _TOP - 7, entry.name))
        parts.append(text(x, _TOP + high + 13, entry.zeros, class_="soft"))
        parts.append(element("rect", x=x, y=_TOP, width=wide, height=high, fill="url(#removed)"))
        parts.append(picture(_pixels(entry.tiles), x, _TOP, wide, high))
        parts.append(element("rect", x=x, y=_TOP, width=wide, height=high, class_="frame"))
        x += max(wide, 6.2 * len(entry.name), 6.2 * len(entry.zeros)) + _GAP
        height = max(height, _TOP + high + 18)
    labels = ", ".join(f"{entry.name} {entry.zeros}" for entry in layer.maps)
    return svg(max(x, _WIDTH), height, *parts, label=f"Layer {layer.index}: {labels}")


def _margin(layer: LayerMaps) -> Iterator[Markup]:
    yield text(0, _TOP - 7, f"Layer {layer.index}", class_="strong")
    report = layer.report
    if report is None:
        return
    states = report.head_states()
    in_row = min(8, -(-len(states) // 2))
    for place, state in enumerate(states):
        row, column = divmod(place, in_row)
        yield head_cell(column * (_CELL + 1), _TOP + row * (_CELL + 1), state, f"head {place}: {state}")
    y = _TOP + -(-len(states) // in_row) * (_CELL + 1) + 13
    yield text(0, y, f"{report.heads} of {report.heads_original} heads", class_="soft")
    for block in report.feed_forwards[:1] if len(report.feed_forwards) == 1 else ():
        yield text(0, y + 14, f"FFN {block.kept} of {block.original or block.width}", class_="soft")


def head_cell(x: float, y: float, state: HeadState, title: str) -> Markup:
    """Draw one head: filled if it lives, half filled if it only mixes, crossed if dead, hatched if removed."""
    size = _CELL - 1
    shapes = []
    if state == "removed":
        shapes.append(element("rect", x=x, y=y, width=size, height=size, fill="url(#removed)"))
    if state == "live":
        shapes.append(element("rect", x=x, y=y, width=size, height=size, class_="accent"))
    if state == "mixing":
        shapes.append(element("path", d=f"M{x:g} {y + size:g}h{size}v{-size}z", class_="accent"))
    if state == "dead":
        shapes.append(element("path", d=f"M{x:g} {y:g}l{size} {size}m0 {-size}l{-size} {size}", class_="frame"))
    frame = element("rect", x=x + 0.5, y=y + 0.5, width=size - 1, height=size - 1, class_="frame")
    return element("g", element("title", title), *shapes, frame)


def draw_legend(*, heads: bool) -> Markup:
    """What the greys mean, and the cells if there are `heads`; holds the hatching that all pictures use."""
    hatching = element(
        "pattern",
        element("rect", width=6, height=6, class_="hatched"),
        element("path", d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5", class_="hatch"),
        id="removed",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    parts, x, y = [element("defs", hatching)], 0.0, 4
    shades = np.linspace(1 / TILE**2, 1, 101)[None]
    for tiles, wide, words in (
        (np.zeros((1, 1)), 15, f"no weight in the {TILE}x{TILE} tile"),
        (shades, 110, "from one weight in the tile to all of them"),
        (np.full((1, 1), np.nan), 15, "removed"),
    ):
        parts.append(element("rect", x=x, y=y, width=wide, height=15, fill="url(#removed)"))
        parts.append(picture(_pixels(tiles), x, y, wide, 15))
        parts.append(element("rect", x=x, y=y, width=wide, height=15, class_="frame"))
        parts.append(text(x + wide + 6, y + 12, words))
        x += wide + 6.0 * len(words) + 26
    x, y = 0.0, 28
    meanings: tuple[tuple[HeadState, str], ...] = (
        ("live", "head in use"),
        ("dead", "head that adds at most a constant"),
        ("mixing", "head without queries or keys that still mixes"),
        ("removed", "head that is gone"),
    )
    for state, words in meanings if heads else ():
        parts.append(head_cell(x, y, state, words))
        parts.append(text(x + _CELL + 6, y + 12, words))
        x += _CELL + 6.0 * len(words) + 26
    return svg(_WIDTH, 48 if heads else 24, *parts, label="Legend of the pictures")


def _pixels(tiles: Tiles) -> bytes:
    """White for an empty tile, from light grey to nearly black for a full one, nothing where it is removed."""
    share = np.nan_to_num(tiles)
    grey = np.where(share > 0, np.round(_LIGHTEST - share * (_LIGHTEST - _DARKEST)), 255)
    opacity = np.where(np.isnan(tiles), 0, 255)
    pixels = np.stack([grey, opacity], axis=2).astype(np.uint8)
    return grey_png(tiles.shape[1], tiles.shape[0], pixels.tobytes())
