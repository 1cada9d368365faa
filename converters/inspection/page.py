"""The page of `edge-qa inspect --html`: where the weights of a model are, and what that is worth."""

from collections.abc import Iterable, Iterator

from converters.inspection.density_picture import draw_layers, draw_legend, layer_maps
from converters.inspection.inspect import Inspection, zeros_only
from converters.inspection.plain_words import (
    TENSOR_HEADERS,
    WORTH_A_WORD,
    giga,
    layer_rows,
    percent,
    read_aloud,
    tensor_row,
    times,
)
from converters.inspection.recognition import Recognition
from converters.inspection.zero_patterns import TILE
from edge_qa.reporting.html import Markup, Section, bars, figure, page, paragraphs, table
from edge_qa.system.machine import measured_here


def inspection_page(seen: Inspection, *, amx: bool) -> bytes:
    """Return the page. amx: whether this CPU has OpenVINO's sparse path."""
    found = seen.recognition
    kind = found.kind if found else "zeros of the weights"
    lead = f"{seen.source}: {kind}"
    return page(seen.name, _sections(seen, amx), lead=lead, footer=f"edge-qa inspect; {measured_here()}")


def _sections(seen: Inspection, amx: bool) -> Iterator[Section]:
    found = seen.recognition
    if found is not None:
        yield Section("What this model is", (paragraphs(_unbroken(read_aloud(found, amx=amx))), _facts(found)))
    else:
        yield Section("What is shown", (paragraphs(_unbroken(zeros_only(seen))),))
    pictures = layer_maps(seen.weights, found.layers if found else (), found.hidden if found else 0)
    if pictures:
        yield Section(
            "Where its weights are",
            (_how_to_read(), figure(draw_legend(heads=found is not None)), *map(figure, draw_layers(pictures))),
        )
    if found is not None:
        yield Section("Layer by layer", (_layers(found),))
        yield Section("What compaction gains", tuple(_gains(found)))
        yield Section("What no dense kernel can use", tuple(_remaining(found)))
    yield Section("Matrix by matrix", (_tensors(seen), _how_groups_read()))


def _unbroken(sentences: Iterable[str]) -> list[str]:
    """Keep a number and its unit on one line."""
    return [sentence.replace(" %", "\u00a0%").replace(" G ", "\u00a0G ") for sentence in sentences]


def _facts(found: Recognition) -> Markup:
    heads, original = (sum(getattr(layer, name) for layer in found.layers) for name in ("heads", "heads_original"))
    blocks = [block for layer in found.layers for block in layer.feed_forwards]
    neurons = sum(max(block.width, block.original or 0) for block in blocks)
    rows = [
        ("family", found.family),
        ("layers", f"{len(found.layers)} of hidden size {found.hidden}"),
        ("attention heads", f"{heads} of {original}"),
        ("feed-forward neurons with weights", f"{sum(block.kept for block in blocks)} of {neurons}"),
        ("parameters", f"{found.parameters / 1e6:.2f} M"),
        ("weights of matrix products", f"{found.weights / 1e6:.2f} M, {percent(found.zeros / found.weights)} zero"),
    ]
    return table(("", ""), rows)


def _how_to_read() -> Markup:
    return paragraphs(
        [
            f"Each pixel is a tile of {TILE} x {TILE} weights. The channels that pass from layer to layer run from top "
            "to bottom; the heads of the attention and the neurons of the feed-forward blocks (FFN) from left to "
            "right. Below each matrix stands the share of its stored weights that are zero. Removed heads lie where "
            "config.json says they were, else at the right."
        ],
        note=True,
    )


def _layers(found: Recognition) -> Markup:
    rows = []
    for index, (layer, row) in enumerate(zip(found.layers, layer_rows(found), strict=True)):
        gone = "not known" if layer.removed is None else " ".join(map(str, layer.removed)) or "none"
        rows.append((str(index), *row, gone))
    headers = ("layer", "heads", "dead heads", "FFN neurons with weights", "zero weights", "heads removed")
    return table(headers, rows, align="rrrrrl")


def _gains(found: Recognition) -> Iterator[Markup]:
    """One bar chart for each length where there is a difference to see, and the same in numbers."""
    rows = []
    for gain in found.gains:
        stages = [("as these weights are", gain.before), ("after compaction", gain.after)]
        if gain.unpruned != gain.before:
            stages.insert(0, ("before it was pruned", gain.unpruned))
        chart = [(name, float(count), giga(count)) for name, count in stages]
        caption = f"Multiply-adds of all matrix products for one input of {gain.tokens} tokens"
        if gain.after < gain.unpruned:
            yield figure(paragraphs([caption], note=True), bars(chart, label=caption))
        rows.append(
            (
                str(gain.tokens),
                *map(giga, (gain.unpruned, gain.before, gain.after)),
                times(gain.before, gain.after),
                times(gain.unpruned, gain.after),
            )
        )
    headers = ("tokens", "before pruning", "as it is", "compacted", "gain of compaction", "gain of all")
    yield table(headers, rows, align="rrrrrr", caption="Multiply-adds of all matrix products for one input")
    yield paragraphs(
        ["Counted, not timed: fewer multiply-adds are faster, but not always by the same factor."], note=True
    )


def _remaining(found: Recognition) -> Iterator[Markup]:
    zeros = sum(remainder.zeros for remainder in found.remaining)
    if zeros < WORTH_A_WORD * found.weights_after:
        few = f"only {zeros:,} of {found.weights_after:,} weights are" if zeros else "no weight is"
        yield paragraphs([f"Nothing to speak of: after compaction {few} zero."])
        return
    rows = [
        (part.pattern, str(part.matrices), f"{part.zeros:,}", percent(part.zeros / found.weights_after))
        for part in found.remaining
    ]
    total = ("together", "", f"{zeros:,}", percent(zeros / found.weights_after))
    yield table(("pattern", "matrices", "zero weights", "of all weights"), [*rows, total], align="lrrr")
    yield paragraphs(
        [
            "Zeros that are left after compaction. A dense kernel multiplies by them as by any number; they save "
            "neither time nor, uncompressed, space. The native engine skips aligned blocks of 4 outputs x 1 input "
            "that are zero, in a packed bundle where fewer than 60 % of a matrix's blocks are left."
        ],
        note=True,
    )


def _tensors(seen: Inspection) -> Markup:
    return table(TENSOR_HEADERS, [tensor_row(tensor) for tensor in seen.tensors], align="lrrrrrrl")


def _how_groups_read() -> Markup:
    return paragraphs(
        [
            "Zero groups: the share of aligned groups of 4 outputs x 1 input, and of 1 output x 4 inputs, that are "
            "zero as a whole. Along a blocked axis it is about the share of zeros, along any other about its fourth "
            "power. A pattern is named only if chance gives it less than once in a billion matrices."
        ],
        note=True,
    )
