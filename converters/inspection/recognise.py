"""What kind of model this is: the weights are asked first, the configuration second."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.inspection.recognition import (
    FeedForwardReport,
    Gain,
    LayerReport,
    Recognition,
    Remainder,
    TensorReport,
)
from converters.inspection.zero_patterns import ONE_BY_FOUR, ZeroPattern, find_pattern, is_nonzero
from converters.model.compaction import compact
from converters.model.encoder import Array, Attention, Encoder, FeedForward, Layer, named_arrays
from converters.model.matrices import (
    head_multiply_adds,
    layer_matrices,
    matrices,
    multiply_adds,
    neuron_multiply_adds,
    tables,
)

_STRUCTURED = "block-sparse / structured (nn_pruning)"
_LENGTHS = (384, 178)  # tokens: the usual limit, and the average window of SQuAD 1.1
_NOTABLE = 0.02  # a pattern names the model if it holds this share of all weights
_MANY_NEURONS = 0.25  # of all; sparse blocks and single zeros empty some by chance (5 % at 80 % in 1x4)
_LARGE_BLOCK = 8  # values; from here on both ways a block is one of nn_pruning's


def recognise(encoder: Encoder, config: Mapping[str, Any]) -> Recognition:
    """Look at an encoder's weights, and at the config.json that came with it (empty if none did)."""
    found: dict[int, ZeroPattern] = {}
    tensors = [*_reports(matrices(encoder), False, found), *_reports(tables(encoder), True, found)]
    layers = tuple(_layer(index, layer, config, found) for index, layer in enumerate(encoder.layers))
    linear = [tensor.zeros for tensor in tensors if not tensor.table]
    compacted = compact(encoder)
    kinds = _kinds(linear, layers, config)
    return Recognition(
        kind=" + ".join(kinds),
        kinds=kinds,
        family=encoder.family,
        hidden=encoder.hidden,
        activation=encoder.activation,
        parameters=sum(int(array.size) for _, array in named_arrays(encoder)),
        zeros=sum(zeros.zeros for zeros in linear),
        weights=sum(_size(zeros) for zeros in linear),
        weights_after=sum(int(weight.size) for _, weight in matrices(compacted)),
        layers=layers,
        tensors=tuple(tensors),
        gains=tuple(_gain(encoder, compacted, layers, tokens) for tokens in _LENGTHS),
        remaining=_remaining(compacted, {tensor.name: tensor.zeros for tensor in tensors}),
        notes=tuple(_disagreements(encoder, layers, config)),
    )


def _reports(named: Iterator[tuple[str, Any]], table: bool, found: dict[int, ZeroPattern]) -> Iterator[TensorReport]:
    """One report for each matrix; an array that is used again is looked at once."""
    for name, weight in named:
        if id(weight) not in found:
            found[id(weight)] = find_pattern(weight)
        yield TensorReport(name, table, found[id(weight)])


def _size(zeros: ZeroPattern) -> int:
    return zeros.shape[0] * zeros.shape[1]


def _layer(index: int, layer: Layer, config: Mapping[str, Any], found: Mapping[int, ZeroPattern]) -> LayerReport:
    attention = layer.attention
    original = _original_heads(attention, config)
    numbers, removed = _head_numbers(index, attention.heads, original, config)
    dead, mixing = _dead_and_mixing(attention)
    held = [found[id(weight)] for _, weight in layer_matrices(layer) if weight.size]
    return LayerReport(
        heads=attention.heads,
        heads_original=original,
        head_size=round(attention.scale**-2),
        head_numbers=numbers,
        removed=removed,
        dead=tuple(numbers[head] for head in dead),
        mixing=tuple(numbers[head] for head in mixing),
        feed_forwards=tuple(_feed_forward(block, config) for block in layer.feed_forwards),
        zeros=sum(zeros.zeros for zeros in held),
        weights=sum(_size(zeros) for zeros in held),
    )


# Heads


def _original_heads(attention: Attention, config: Mapping[str, Any]) -> int:
    """What config.json says, else what the scale tells: it is 1/sqrt of the size of one original head."""
    said = config.get("num_attention_heads")
    if not isinstance(said, int) or isinstance(said, bool):
        said = round(attention.query.inputs * attention.scale**2)
    return max(said, attention.heads)


def _head_numbers(
    index: int, heads: int, original: int, config: Mapping[str, Any]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the original number of each head in the weights, and of those that are gone (None if not known)."""
    if heads == original:
        return tuple(range(heads)), ()
    said = config.get("pruned_heads")
    listed = said.get(str(index), ()) if isinstance(said, Mapping) else ()
    gone = {number for number in listed if isinstance(number, int)} if isinstance(listed, list) else set()
    kept = tuple(number for number in range(original) if number not in gone)
    if len(kept) != heads:
        return tuple(range(heads)), None
    return kept, tuple(number for number in range(original) if number in gone)


def _per_head(rows: Array, heads: int) -> Array:
    """True for each head of which any row (heads * size, n) is not zero."""
    return np.asarray(is_nonzero(rows).reshape(heads, -1).any(axis=1), bool)


def _dead_and_mixing(attention: Attention) -> tuple[list[int], list[int]]:
    """Heads with zero V or zero output columns; and others with zero Q or K, which still mix the tokens."""
    if not attention.heads:
        return [], []
    query, key, value, output = (
        _per_head(rows, attention.heads)
        for rows in (
            attention.query.weight,
            attention.key.weight,
            attention.value.weight,
            attention.output.weight.T,
        )
    )
    dead = ~(value & output)
    return np.flatnonzero(dead).tolist(), np.flatnonzero(~dead & ~(query & key)).tolist()


# Feed-forward blocks


def _feed_forward(block: FeedForward, config: Mapping[str, Any]) -> FeedForwardReport:
    said = config.get("intermediate_size")
    heard = np.asarray(is_nonzero(block.down.weight).any(axis=0), bool)
    hears = np.asarray(is_nonzero(block.up.weight).any(axis=1), bool)
    alive = heard & hears
    kept = int(np.count_nonzero(alive))
    empty = ~(heard | hears | (block.up.bias != 0))
    padded = kept < block.width and not alive[kept:].any() and bool(empty[kept:].all())
    return FeedForwardReport(block.width, kept, said if isinstance(said, int) else None, padded)


# The whole model


def _kinds(linear: Sequence[ZeroPattern], layers: Sequence[LayerReport], config: Mapping[str, Any]) -> tuple[str, ...]:
    weights = sum(_size(zeros) for zeros in linear)
    inner: Counter[str] = Counter()
    for zeros in linear:
        inner[_pattern_kind(zeros)] += zeros.inner_zeros
    notable = [kind for kind, count in inner.items() if kind and count >= _NOTABLE * weights]
    blocks = [block for layer in layers for block in layer.feed_forwards]
    gone = sum(block.width - block.kept for block in blocks if not block.padded)
    scattered = any(kind != _STRUCTURED for kind in notable)
    enough = _MANY_NEURONS * sum(block.width for block in blocks) if scattered else 0
    kinds = []
    if _STRUCTURED in notable or gone > enough:
        kinds.append(_STRUCTURED)
    if any(block.padded for block in blocks):
        kinds.append("hybrid-filled")
    if any(layer.heads < layer.heads_original for layer in layers):
        kinds.append("pruned heads")
    if any(layer.dead for layer in layers):
        kinds.append("zeroed heads")
    if any(block.original is not None and block.width < block.original for block in blocks):
        kinds.append("narrowed feed-forward")
    kinds += sorted(kind for kind in notable if kind != _STRUCTURED)
    if _is_tinybert(config):
        kinds.append("TinyBERT-like")
    return tuple(kinds) if set(kinds) - {"TinyBERT-like"} else ("dense", *kinds)


def _pattern_kind(zeros: ZeroPattern) -> str:
    """The kind of model that a matrix with these zeros speaks for, "" for none."""
    if zeros.verdict == "blocks":
        if min(zeros.block) >= _LARGE_BLOCK:
            return _STRUCTURED
        return "1x4 block sparse" if zeros.block == ONE_BY_FOUR else f"sparse in {zeros.name}"
    return "unstructured" if zeros.verdict in ("unstructured", "irregular") else ""


def _is_tinybert(config: Mapping[str, Any]) -> bool:
    """Known by its architecture's name, or by the keys that its training left in config.json."""
    names = config.get("architectures")
    named = isinstance(names, list) and any(str(name).startswith("TinyBert") for name in names)
    return named or {"cell", "structure", "pre_trained"} <= config.keys()


def _gain(encoder: Encoder, compacted: Encoder, layers: Sequence[LayerReport], tokens: int) -> Gain:
    before = multiply_adds(encoder, tokens)
    gone = 0
    for layer, report in zip(encoder.layers, layers, strict=True):
        gone += (report.heads_original - report.heads) * head_multiply_adds(layer.attention, tokens)
        for block, widths in zip(layer.feed_forwards, report.feed_forwards, strict=True):
            gone += max(0, (widths.original or 0) - widths.width) * neuron_multiply_adds(block, tokens)
    return Gain(tokens, before + gone, before, multiply_adds(compacted, tokens))


def _remaining(compacted: Encoder, patterns: Mapping[str, ZeroPattern]) -> tuple[Remainder, ...]:
    """Count what is zero after compaction, by the pattern that the matrix had before."""
    counts: Counter[str] = Counter()
    zeros: Counter[str] = Counter()
    for name, weight in matrices(compacted):
        left = int(weight.size - np.count_nonzero(is_nonzero(weight)))
        if left:
            counts[patterns[name].name] += 1
            zeros[patterns[name].name] += left
    return tuple(Remainder(pattern, counts[pattern], count) for pattern, count in zeros.most_common())


def _disagreements(encoder: Encoder, layers: Sequence[LayerReport], config: Mapping[str, Any]) -> Iterator[str]:
    unknown = [str(index) for index, layer in enumerate(layers) if layer.removed is None]
    if unknown and config:
        yield (
            f"config.json says {layers[int(unknown[0])].heads_original} heads and its pruned_heads do not name those "
            f"that are missing in layer{'s' * (len(unknown) > 1)} {', '.join(unknown)}: which ones is not known"
        )
    sizes = {layer.attention.key_size for layer in encoder.layers if layer.attention.heads}
    said = config.get("attention_head_size")
    if isinstance(said, int) and sizes and sizes != {said}:
        yield f"config.json says attention_head_size {said}, the weights have {', '.join(map(str, sorted(sizes)))}"
    widths = {block.width for layer in layers for block in layer.feed_forwards}
    said = config.get("intermediate_size")
    if isinstance(said, int) and widths and widths != {said}:
        yield f"config.json says intermediate_size {said}, the weights have {', '.join(map(str, sorted(widths)))}"
