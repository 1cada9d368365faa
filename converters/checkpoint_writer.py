"""Encoder -> checkpoint folder, in the format that transformers 4 loads.

Fewer heads are written as `pruned_heads`: transformers builds the whole model, removes the heads of
that list and then loads the weights as they are stored, already without them. So only how many heads
the list names matters for the result, not which: what remains keeps its order. Where the source
checkpoint or the caller knows the original numbers they are written, else the last ones are named.
A feed-forward block narrower than the widest is filled up with zeros at the end, as nn_pruning does,
and a layer without heads gets one head of zeros, because transformers cannot run none: neither has
an effect, and compaction removes both again. The one thing that transformers would load wrongly is a
no-norm (`layer_norm_type`), which it takes for a layer norm.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint
from converters.checkpoints.weights import write_weights
from converters.families.formats import ACTIVATION_NAMES, CHECKPOINT_FORMATS, CheckpointFormat
from converters.model.encoder import Array, Attention, Encoder, FeedForward, Linear, Norm, attention_scale
from edge_qa.errors import CheckpointError
from edge_qa.files import check_destination, new_folder

# What transformers' own tokenizer classes read beside tokenizer.json.
_TOKENIZER_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
)
# Said anew for what is written, or no longer true of it.
_REPLACED = ("dtype", "torch_dtype", "layer_norm_type", "pruned_heads", "pruning_method", "mask_init", "mask_scale")


def write_checkpoint(
    encoder: Encoder,
    folder: str | os.PathLike[str],
    *,
    source: Checkpoint,
    dropped_heads: Mapping[int, Sequence[int]] | None = None,
    force: bool = False,
) -> Path:
    """Write an encoder as a checkpoint folder: weights, configuration, tokenizer, model card. Returns the folder.

    source: the checkpoint that the encoder was made from; gives what an Encoder does not hold.
    dropped_heads: layer -> original numbers of the heads that it no longer has, where they are known.
    Raises CheckpointError if the family's format cannot hold the encoder, or `folder` exists (unless `force`).
    """
    target = Path(os.path.abspath(folder))
    check_destination(target, force=force, sources=[source.path])
    if encoder.family not in CHECKPOINT_FORMATS:
        raise CheckpointError(
            f"a model of family {encoder.family!r} cannot be written as a checkpoint",
            where=target,
            remedy=f"supported are {', '.join(CHECKPOINT_FORMATS)}",
        )
    form = CHECKPOINT_FORMATS[encoder.family]
    heads = int(source.config[form.heads])
    size = int(source.config[form.hidden]) // heads
    _check(encoder, form, source, target)
    widest = max([1, *(block.width for layer in encoder.layers for block in layer.feed_forwards)])
    config = _config(encoder, form, source, widest)
    config["pruned_heads"] = _pruned_heads(encoder, heads, source, dropped_heads or {})
    with new_folder(target, force=force) as draft:
        write_weights(draft, _tensors(encoder, form, size, widest))
        (draft / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (draft / "tokenizer.json").write_text(source.tokenizer, encoding="utf-8")
        (draft / "README.md").write_text(source.card or f"# {target.name}\n", encoding="utf-8")
        for name in _TOKENIZER_FILES:
            if (source.path / name).is_file():
                shutil.copyfile(source.path / name, draft / name)
    return target


def _check(encoder: Encoder, form: CheckpointFormat, source: Checkpoint, target: Path) -> None:
    """Raise CheckpointError for everything that the format has no place for."""
    most = int(source.config[form.heads])
    size = int(source.config[form.hidden]) // most
    norms = [encoder.embeddings.norm]
    problems = []
    for index, layer in enumerate(encoder.layers):
        attention = layer.attention
        if layer.bottleneck is not None or len(layer.feed_forwards) != 1:
            problems.append(f"layer {index}: a bottleneck or {len(layer.feed_forwards)} feed-forward blocks")
        if attention.heads and {attention.key_size, attention.value_size} != {size}:
            problems.append(f"layer {index}: heads of size {attention.key_size}, wanted {size}")
        if attention.heads and not np.isclose(attention.scale, attention_scale(size), rtol=1e-6):
            problems.append(
                f"layer {index}: scores scaled by {attention.scale:.4g}, wanted {attention_scale(size):.4g}"
            )
        if attention.heads > most:
            problems.append(f"layer {index}: {attention.heads} heads, wanted at most {most}")
        norms += [layer.attention_norm, *(block.norm for block in layer.feed_forwards)]
    if len({norm.epsilon for norm in norms}) > 1:
        problems.append("norms of different epsilons, wanted one")
    offset = int(source.config.get("pad_token_id", 1)) + 1 if form.counts_from_padding else 0
    if encoder.embeddings.position_offset != offset:
        problems.append(f"positions from {encoder.embeddings.position_offset} on, wanted {offset}")
    if encoder.embeddings.widen is not None or (encoder.embeddings.projection and encoder.family != "electra"):
        problems.append("embeddings that are projected")
    if problems:
        raise CheckpointError(
            f"a {encoder.family} checkpoint cannot hold this model: {'; '.join(problems)}", where=target
        )


# Configuration


def _config(encoder: Encoder, form: CheckpointFormat, source: Checkpoint, widest: int) -> dict[str, Any]:
    epsilon = encoder.embeddings.norm.epsilon
    config = {key: value for key, value in source.config.items() if key not in _REPLACED}
    config |= {
        "architectures": [form.architecture],
        "model_type": encoder.family,
        "torch_dtype": str(encoder.embeddings.word.dtype),
        "vocab_size": encoder.vocabulary,
        "max_position_embeddings": int(encoder.embeddings.position.shape[0]),
        form.activation: ACTIVATION_NAMES[encoder.activation],
        form.width: widest,
        form.depth: len(encoder.layers),
    }
    if encoder.embeddings.token_type is not None:
        config["type_vocab_size"] = encoder.token_types
    if epsilon is None:
        config["layer_norm_type"] = "no_norm"
    elif form.epsilon is not None:
        config[form.epsilon] = epsilon
    return config


def _pruned_heads(
    encoder: Encoder, total: int, source: Checkpoint, dropped_heads: Mapping[int, Sequence[int]]
) -> dict[str, list[int]]:
    recorded = source.config.get("pruned_heads") or {}
    pruned = {}
    for index, layer in enumerate(encoder.layers):
        missing = total - max(1, layer.attention.heads)
        known = {*recorded.get(str(index), ()), *dropped_heads.get(index, ())} & set(range(total))
        heads = sorted(known)[:missing]
        last = [head for head in reversed(range(total)) if head not in heads]
        heads += last[: missing - len(heads)]
        if heads:
            pruned[str(index)] = sorted(heads)
    return pruned


# Tensors


def _tensors(encoder: Encoder, form: CheckpointFormat, size: int, widest: int) -> dict[str, Array]:
    parts, names = encoder.embeddings, form.names
    table = f"{form.prefix}embeddings"
    tensors = {
        f"{table}.word_embeddings.weight": parts.word,
        f"{table}.position_embeddings.weight": parts.position,
        **_pair(f"{table}.LayerNorm", parts.norm),
        **_pair("qa_outputs", encoder.head),
    }
    if parts.token_type is not None:
        tensors[f"{table}.token_type_embeddings.weight"] = parts.token_type
    if parts.projection is not None:
        tensors |= _pair(f"{table}_project", parts.projection)
    for index, layer in enumerate(encoder.layers):
        attention, block = _with_a_head(layer.attention, size), _filled(layer.feed_forwards[0], widest)
        named: dict[str, Linear | Norm] = {
            names.query: attention.query,
            names.key: attention.key,
            names.value: attention.value,
            names.output: attention.output,
            names.attention_norm: layer.attention_norm,
            names.up: block.up,
            names.down: block.down,
            names.norm: block.norm,
        }
        for name, value in named.items():
            tensors |= _pair(f"{form.prefix}{form.layers}.{index}.{name}", value)
        if attention.relative is not None:
            tensors[f"{form.prefix}{form.layers}.{index}.{names.distance}.weight"] = attention.relative.table
    return tensors


def _pair(name: str, value: Linear | Norm) -> dict[str, Array]:
    return {f"{name}.weight": value.weight, f"{name}.bias": value.bias}


def _with_a_head(attention: Attention, size: int) -> Attention:
    """The attention as it is, or for one without heads a head of zeros, which adds nothing."""
    if attention.heads:
        return attention
    kind = attention.output.weight.dtype
    rows = Linear(np.zeros((size, attention.query.inputs), kind), np.zeros(size, kind))
    output = Linear(np.zeros((attention.output.outputs, size), kind), attention.output.bias)
    return Attention(1, attention.scale, rows, rows, rows, output, attention.relative)


def _filled(block: FeedForward, width: int) -> FeedForward:
    missing = width - block.width
    if not missing:
        return block
    up = Linear(np.pad(block.up.weight, ((0, missing), (0, 0))), np.pad(block.up.bias, (0, missing)))
    return FeedForward(up, Linear(np.pad(block.down.weight, ((0, 0), (0, missing))), block.down.bias), block.norm)
