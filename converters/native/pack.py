"""An Encoder, or a bundle, packed for the native engine."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.ir.bundle_encoder import read_back
from converters.ir.quantized_encoder import read_back_quantized
from converters.model.coded import CodedEmbeddings, code_linear
from converters.model.encoder import Array, Attention, Embeddings, Encoder, Layer, Linear, Norm
from converters.native.balance import balance_heads
from converters.native.packed_file import PackedWriter, blocks, head_rows, panels, starts
from converters.token_budgets.budgets import read_keep
from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import Step
from edge_qa.errors import BundleError

_ACTIVATIONS = {"gelu": 0, "gelu_tanh": 1, "relu": 2, "silu": 3}
_READS = {"shared": 0, "narrow": 1, "whole": 2}
_FLOAT32, _FLOAT16, _INT8 = 0, 1, 2
# Where fewer of a matrix's 4x1 blocks are left, the sparse product is the faster one on both paths that have it: the
# break-even is near two thirds. kernels/README.md says how it was measured.
_SPARSE_BELOW = 0.6
# What the engine takes, kernels/source/packed_file.cpp.
_MOST = {"layers": 80, "width": 32768, "heads": 256, "head size": 1024, "feed-forward blocks": 8, "budgets": 32}


def pack_bundle(bundle: Bundle) -> bytes:
    """Return the packed file of a bundle and of all its token budgets.

    Weights are quantized here, or keep the values that a quantized bundle has.
    Raises BundleError for a bundle that the native engine cannot run.
    """
    made_by = next((words for step in bundle.manifest.lineage if (words := _foreign(step))), None)
    if made_by is not None:
        raise BundleError(
            f"was {made_by}: the native engine runs models that convert built itself",
            where=bundle.path,
            remedy="answer with OpenVINO",
        )
    budgets = {name: read_keep(bundle, budget) for name, budget in (bundle.manifest.budgets or {}).items()}
    # What is quantized already was balanced before.
    is_coded = bundle.manifest.precision == "int8"
    encoder = read_back_quantized(bundle) if is_coded else balance_heads(read_back(bundle))
    problem = cannot_run(encoder)
    if problem:
        raise BundleError(problem, where=bundle.path, remedy="answer with OpenVINO")
    return pack_encoder(encoder, budgets)


def _foreign(step: Step) -> str | None:
    """How a step made a graph of other nodes than `convert` builds; None if it did not."""
    if step.recipe == "import":
        return "imported"
    return "exported through PyTorch" if step.options.get("through") == "torch" else None


def cannot_run(encoder: Encoder) -> str | None:
    """Say why the native engine cannot run an encoder; None if it can."""
    heads = [layer.attention for layer in encoder.layers]
    blocks = [block for layer in encoder.layers for block in layer.feed_forwards]
    sizes = {
        "layers": len(encoder.layers),
        "width": max([encoder.hidden, *(block.width for block in blocks)], default=0),
        "heads": max((attention.heads for attention in heads), default=0),
        "head size": max((max(attention.key_size, attention.value_size) for attention in heads), default=0),
        "feed-forward blocks": max((len(layer.feed_forwards) for layer in encoder.layers), default=0),
    }
    over = [f"{size} {name}" for name, size in sizes.items() if size > _MOST[name]]
    if not encoder.layers:
        over.append("a model without layers")
    if encoder.activation not in _ACTIVATIONS:
        over.append(f"the activation {encoder.activation}")
    if any(attention.relative is not None for attention in heads):
        over.append("relative positions")
    return f"the native engine does not take {', '.join(over)}" if over else None


def pack_encoder(encoder: Encoder, budgets: Mapping[str, Keep] | None = None) -> bytes:
    """Return the packed file of an encoder with these token budgets, in this order."""
    out = PackedWriter()
    out.whole(encoder.hidden, _ACTIVATIONS[encoder.activation])
    _embeddings(out, encoder.embeddings)
    distinct = list({id(layer): layer for layer in encoder.layers}.values())
    numbers = {id(layer): number for number, layer in enumerate(distinct)}
    out.whole(len(distinct))
    for layer in distinct:
        _layer(out, layer)
    out.whole(len(encoder.layers), *(numbers[id(layer)] for layer in encoder.layers))
    head = encoder.head.weight.astype(np.float32)
    out.array(np.concatenate(list(head_rows(head))), np.float32)
    out.real(*map(float, encoder.head.bias.astype(np.float32)))
    out.whole(len(budgets or {}))
    for keep in (budgets or {}).values():
        _budget(out, keep)
    return out.content()


def _linear(out: PackedWriter, linear: Linear) -> None:
    coded = code_linear(linear)
    sparse = _block_density(coded.codes) < _SPARSE_BELOW
    out.whole(coded.outputs, coded.inputs, (coded.factor is not None) | sparse << 1)
    out.array(panels(coded.codes), np.int8)
    out.array(coded.scales, np.float32)
    out.array(coded.bias, np.float32)
    out.array(starts(coded.codes), np.int32)
    if coded.factor is not None:
        out.array(coded.factor, np.float32)
    if sparse:
        ends, columns, values = blocks(coded.codes)
        out.whole(columns.size)
        out.array(ends, np.uint32)
        out.array(columns, np.uint16)
        out.array(values, np.int8)


def _block_density(codes: NDArray[np.int8]) -> float:
    """The share of blocks of 4 outputs x 1 input that are not all zero."""
    outputs, inputs = codes.shape
    if not codes.size:
        return 1.0
    padded = np.zeros((outputs + -outputs % 4, inputs), np.int8)
    padded[:outputs] = codes
    return float(padded.reshape(-1, 4, inputs).any(axis=1).mean())


def _norm(out: PackedWriter, norm: Norm) -> None:
    out.whole(norm.weight.size, norm.epsilon is not None)
    out.real(norm.epsilon or 0.0)
    out.array(norm.weight, np.float32)
    out.array(norm.bias, np.float32)


def _embeddings(out: PackedWriter, parts: Embeddings) -> None:
    coded = parts.coded if isinstance(parts, CodedEmbeddings) else {}
    for name in ("word", "position", "token_type"):
        table: Array | None = getattr(parts, name)
        if table is None:
            table = np.zeros((0, 0), np.float32)
        if name in coded:
            out.whole(*table.shape, _INT8)
            out.array(coded[name].codes, np.int8)
            out.array(coded[name].scales, np.float32)
        else:
            half = table.dtype == np.float16
            out.whole(*table.shape, _FLOAT16 if half else _FLOAT32)
            out.array(table, np.float16 if half else np.float32)
    out.whole(parts.position_offset, parts.widen is not None, parts.projection is not None)
    if parts.widen is not None:
        _linear(out, parts.widen)
    _norm(out, parts.norm)
    if parts.projection is not None:
        _linear(out, parts.projection)


def _layer(out: PackedWriter, layer: Layer) -> None:
    middle = layer.bottleneck
    out.whole(middle is not None)
    if middle is not None:
        out.whole(middle.input.outputs, _READS[middle.attention_input])
        _linear(out, middle.input)
        _norm(out, middle.input_norm)
        if middle.attention_input == "shared":
            assert middle.shared is not None
            assert middle.shared_norm is not None
            _linear(out, middle.shared)
            _norm(out, middle.shared_norm)
        _linear(out, middle.output)
        _norm(out, middle.output_norm)
    _attention(out, layer.attention)
    _norm(out, layer.attention_norm)
    out.whole(len(layer.feed_forwards))
    for block in layer.feed_forwards:
        _linear(
            out, block.up if block.width else replace(block.up, weight=np.zeros((0, block.down.outputs), np.float32))
        )
        _linear(out, block.down)
        _norm(out, block.norm)


def _attention(out: PackedWriter, attention: Attention) -> None:
    out.whole(attention.heads)
    if attention.heads:
        out.whole(attention.key_size, attention.value_size)
        out.real(attention.scale)
        for part in (attention.query, attention.key, attention.value):
            _linear(out, part)
    _linear(out, attention.output)


def _budget(out: PackedWriter, keep: Keep) -> None:
    out.whole(keep.step, bool(keep.probes))
    for layer, share in enumerate(keep.shares):
        out.real(share)
        if keep.probes and layer in keep.dropping_layers:
            out.array(keep.probes[layer], np.float32)
