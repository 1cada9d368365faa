"""Measure on this CPU what each number of heads and each width costs, in milliseconds.

Small seeded models of one kind of block, several alike in a row, are timed at one length, all of them
taking turns, so that a busy machine slows them alike. What a block of nothing costs is taken off, and
between measured sizes the cost is a straight line. Multiply-adds would be the wrong measure: what
attends is slower per multiply-add than what multiplies weights, and small products are slower than large.
"""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np

from calibration.shrinking.structure_costs import StructureCosts, width_options
from converters.ir.graph import build_graph
from converters.model.compaction import keep_heads, keep_neurons
from converters.model.encoder import Attention, Encoder, FeedForward, Layer, Linear, map_arrays
from converters.model.matrices import layer_matrices
from edge_qa._openvino import this_core
from edge_qa.system.cpu import this_cpu

Run = Callable[[], object]
Key = TypeVar("Key", bound=Hashable)
LatencyPrecision = Literal["f32", "int8"]
Timer = Callable[[Mapping[Hashable, Run]], Mapping[Hashable, float]]

_BLOCKS = 4  # alike, in a row: one alone is lost in what surrounds it
_ROUNDS = 12
_WARM_UP = 2
_GRID = 8  # steps from nothing to the whole


def measure_costs(
    encoder: Encoder, tokens: int, *, precision: LatencyPrecision = "f32", timer: Timer | None = None
) -> StructureCosts:
    """Return the milliseconds of the encoder's layers, batch 1, for one input of `tokens` tokens.

    precision: "int8" quantizes what is measured, and needs the calibrate extra.
    timer: runs -> milliseconds each; by default they alternate, and the lower quartile counts.
    Layers of the same shape are measured once. The base is what is left of the model when all heads
    and neurons are gone.
    """
    time_all = timer or lower_quartile_ms

    def compiled(part: Encoder) -> Run:
        return compiled_run(part, tokens, precision)

    shapes = [_shape(layer) for layer in encoder.layers]
    runs: dict[Hashable, Run] = {"base": compiled(_emptied(encoder, encoder.layers))}
    for index, shape in enumerate(shapes):
        if ("heads", shape, 0) in runs:
            continue
        layer = _seeded(encoder.layers[index])
        for count in head_grid(layer.attention.heads):
            part = replace(layer, attention=_first_heads(layer.attention, count))
            runs["heads", shape, count] = compiled(_row_of(encoder, _without_neurons(part)))
        for width in width_grid(layer.feed_forwards[0].width):
            part = replace(layer, feed_forwards=(_first_neurons(layer.feed_forwards[0], width),))
            runs["width", shape, width] = compiled(_row_of(encoder, _without_heads(part)))
    times = time_all(runs)
    options = tuple(width_options(layer.feed_forwards[0].width) for layer in encoder.layers)
    heads, widths = [], []
    for layer, shape, choice in zip(encoder.layers, shapes, options, strict=True):
        counts = head_grid(layer.attention.heads)
        curve = rising([times["heads", shape, count] / _BLOCKS for count in counts])
        heads.append(tuple(float(value) for value in np.interp(range(layer.attention.heads + 1), counts, curve)))
        sizes = width_grid(layer.feed_forwards[0].width)
        curve = rising([times["width", shape, width] / _BLOCKS for width in sizes])
        widths.append(tuple(float(value) for value in np.interp(choice, sizes, curve)))
    return StructureCosts("ms", float(times["base"]), tuple(heads), options, tuple(widths))


def head_grid(heads: int) -> list[int]:
    """The numbers of heads that are measured, from 0 to all."""
    return sorted({*range(min(heads, 2) + 1), *np.linspace(0, heads, _GRID + 1).round().astype(int).tolist()})


def width_grid(width: int) -> list[int]:
    """The widths that are measured, from 0 to the whole; the first steps are finer, where the curve bends."""
    return sorted({*np.linspace(0, width, _GRID + 1).round().astype(int).tolist(), width // 32, width // 16})


def rising(times: Sequence[float]) -> list[float]:
    """Times above that of nothing, made to rise: less work is never slower, but timing is not exact."""
    risen: list[float] = np.maximum.accumulate(np.array(times) - times[0]).tolist()
    return risen


def lower_quartile_ms(runs: Mapping[Key, Run], rounds: int | None = None) -> dict[Key, float]:
    """Run all in turn, forwards and backwards, and return the lower quartile of each one's milliseconds.

    Other programs only ever add time, so that the lower half of the times tells more than the median.
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        for _ in range(_WARM_UP):
            run()
    for turn in range(rounds or _ROUNDS):
        for key in list(runs) if turn % 2 else reversed(list(runs)):
            runs[key]()  # untimed: what ran before has pushed its weights out of the caches
            begin = time.perf_counter()
            runs[key]()
            times[key].append((time.perf_counter() - begin) * 1000)
    return {key: float(np.quantile(values, 0.25)) for key, values in times.items()}


def compiled_run(encoder: Encoder, tokens: int, precision: LatencyPrecision = "f32") -> Run:
    """Return a call that runs the encoder once on an input of `tokens` tokens, compiled as the runtime does."""
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": this_cpu().threads,
    }
    sample = {
        "input_ids": (np.arange(tokens)[None] * 7919) % encoder.vocabulary,
        "attention_mask": np.ones((1, tokens), np.int64),
        "token_type_ids": np.zeros((1, tokens), np.int64),
        "position_ids": np.arange(tokens)[None],
    }
    model = build_graph(encoder)
    if precision == "int8":
        # Imported here, because it brings nncf.
        from calibration.quantization.int8_model import quantize_model

        model = quantize_model(model, [sample])
    request = this_core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer(sample)


def _shape(layer: Layer) -> tuple[tuple[int, ...], ...]:
    return (layer.attention.heads,), *(tuple(weight.shape) for _, weight in layer_matrices(layer))


def _seeded(layer: Layer) -> Layer:
    """A layer of the same shape with dense values: zeros, or the odd tiny value, could run at another speed."""
    random = np.random.default_rng(0)

    def linear(part: Linear) -> Linear:
        outputs, inputs = part.weight.shape
        weight = random.normal(0, 1 / max(1, inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
        return Linear(weight, np.zeros(outputs, np.float32))

    attention, block = layer.attention, layer.feed_forwards[0]
    attention = replace(
        attention,
        query=linear(attention.query),
        key=linear(attention.key),
        value=linear(attention.value),
        output=linear(attention.output),
    )
    return replace(
        layer, attention=attention, feed_forwards=(replace(block, up=linear(block.up), down=linear(block.down)),)
    )


def _row_of(encoder: Encoder, layer: Layer) -> Encoder:
    """The encoder with _BLOCKS copies of the layer: shared arrays would stay in the cache from one to the next."""
    return replace(encoder, layers=tuple(map_arrays(layer, np.copy) for _ in range(_BLOCKS)))


def _emptied(encoder: Encoder, layers: Sequence[Layer]) -> Encoder:
    return replace(encoder, layers=tuple(_without_heads(_without_neurons(layer)) for layer in layers))


def _without_heads(layer: Layer) -> Layer:
    return replace(layer, attention=_first_heads(layer.attention, 0))


def _without_neurons(layer: Layer) -> Layer:
    return replace(layer, feed_forwards=(_first_neurons(layer.feed_forwards[0], 0),))


def _first_heads(attention: Attention, count: int) -> Attention:
    return keep_heads(attention, np.arange(attention.heads) < count, attention.output.bias)


def _first_neurons(block: FeedForward, width: int) -> FeedForward:
    return keep_neurons(block, np.arange(block.width) < width, block.down.bias)
