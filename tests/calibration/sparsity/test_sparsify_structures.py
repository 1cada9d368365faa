"""Whole heads and neurons that are removed, against the same model with their outputs masked."""

import json
from dataclasses import replace

import numpy as np
import pytest

from calibration.sparsity.sparsify import sparsify
from converters.conversion import convert
from converters.model.encoder import Attention, Encoder, FeedForward
from converters.verification import reference
from edge_qa.errors import InputError
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.small_model import (
    FAMILIES,
    LINEARS,
    SIZES,
    encoder_of,
    weights_of,
)


def logits_of(encoder: Encoder) -> np.ndarray:
    random = np.random.default_rng(5)
    real = np.arange(12) < np.array([[12], [7]])
    inputs = {
        "input_ids": np.where(real, random.integers(5, encoder.vocabulary, real.shape), 0),
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(12) >= 4) & real).astype(np.int64),
        "position_ids": np.tile(np.arange(12), (2, 1)),
    }
    return np.stack(reference.reference_logits(encoder, inputs))[:, real]


def difference(got: Encoder, wanted: Encoder) -> float:
    """The largest difference of their logits, relative to max(1, the largest)."""
    logits = logits_of(wanted)
    return float(np.abs(logits_of(got) - logits).max() / max(1, np.abs(logits).max()))


def masked(encoder: Encoder, change) -> Encoder:
    """The encoder with the weight of each layer's attention.output and ffn.down changed by `change`."""
    layers = []
    for index, layer in enumerate(encoder.layers):
        attention: Attention = layer.attention
        block: FeedForward = layer.feed_forwards[0]
        output = replace(attention.output, weight=change(index, "output", attention.output.weight.copy()))
        down = replace(block.down, weight=change(index, "down", block.down.weight.copy()))
        layers.append(
            replace(layer, attention=replace(attention, output=output), feed_forwards=(replace(block, down=down),))
        )
    return replace(encoder, layers=tuple(layers))


@pytest.mark.parametrize("calibrated", [False, True])
def test_removed_heads_are_as_good_as_masked_ones(source, data, tmp_path, calibrated):
    result = sparsify(
        source, tmp_path / "small", pattern="heads", ratio=0.4, calibration=data if calibrated else None, samples=3
    )
    assert result.ratio == 3 / 8
    assert sum(map(len, result.removed_heads)) == 3
    assert sum(result.structure.heads_after) == 5

    def without(index: int, part: str, weight: np.ndarray) -> np.ndarray:
        for head in result.removed_heads[index] if part == "output" else ():
            weight[:, 32 * head : 32 * head + 32] = 0
        return weight

    small = encoder_of(result.path)
    assert difference(small, masked(encoder_of(source), without)) < 1e-5
    assert difference(small, encoder_of(source)) > 0.01
    config = json.loads((result.path / "config.json").read_text())
    assert config["pruned_heads"] == {str(i): list(heads) for i, heads in enumerate(result.removed_heads) if heads}
    assert config["num_attention_heads"] == 4
    bundle = convert(result.path, tmp_path / "bundle")
    assert bundle.manifest.model.heads == result.structure.heads_after


def test_removed_neurons_are_as_good_as_masked_ones(source, tmp_path):
    tensors = weights_of(source)
    result = sparsify(source, tmp_path / "small", pattern="ffn", ratio=0.3)
    scores = {
        (layer, neuron): float(
            np.abs(tensors[f"bert.encoder.layer.{layer}.output.dense.weight"][:, neuron].astype(float)).sum()
        )
        for layer in range(2)
        for neuron in range(256)
    }
    gone = sorted(scores, key=lambda place: scores[place])[:154]  # 0.3 of 512 is 153.6

    def without(index: int, part: str, weight: np.ndarray) -> np.ndarray:
        if part == "down":
            weight[:, [neuron for layer, neuron in gone if layer == index]] = 0
        return weight

    small = encoder_of(result.path)
    assert difference(small, masked(encoder_of(source), without)) < 1e-5
    widths = convert(result.path, tmp_path / "bundle").manifest.model.ffn_widths
    assert widths == result.structure.ffn_widths_after
    assert widths == tuple((256 - sum(layer == index for layer, _ in gone),) for index in range(2))


def test_a_layer_keeps_a_head_unless_it_need_not(tmp_path):
    tensors = bert_tensors(**SIZES)
    for part in LINEARS[:4]:
        tensors[f"bert.encoder.layer.0.{part}.weight"] *= 0.1
    source = write_checkpoint(tmp_path / "source", tensors=tensors, config=bert_config(**SIZES))
    kept = sparsify(source, tmp_path / "kept", pattern="heads", ratio=0.5)
    assert kept.structure.heads_after == (1, 3)
    none = sparsify(source, tmp_path / "none", pattern="heads", ratio=0.5, least_heads=0)
    assert none.structure.heads_after == (0, 4)
    assert convert(none.path, tmp_path / "bundle").manifest.model.heads == (0, 4)
    with pytest.raises(InputError, match=r"ratio 0\.9: would remove 7 of 8 heads, .* 6 can go"):
        sparsify(source, tmp_path / "few", pattern="heads", ratio=0.9)


def test_heads_keep_their_original_numbers(source, tmp_path):
    first = sparsify(source, tmp_path / "first", pattern="heads", ratio=0.25)
    second = sparsify(first.path, tmp_path / "second", pattern="heads", ratio=0.34)
    assert [len(a) + len(b) for a, b in zip(first.removed_heads, second.removed_heads, strict=True)] == [
        4 - left for left in second.structure.heads_after
    ]
    assert not any(set(a) & set(b) for a, b in zip(first.removed_heads, second.removed_heads, strict=True))
    config = json.loads((second.path / "config.json").read_text())
    assert config["pruned_heads"] == {
        str(i): sorted(a + b)
        for i, (a, b) in enumerate(zip(first.removed_heads, second.removed_heads, strict=True))
        if a + b
    }


@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert"])
@pytest.mark.parametrize("pattern", ["1x4", "heads", "ffn"])
def test_other_families_are_pruned_too(tmp_path, family, pattern):
    result = sparsify(FAMILIES / family, tmp_path / "small", pattern=pattern, ratio=0.5)
    assert convert(result.path, tmp_path / "bundle").manifest.model.family == family
    if pattern == "1x4":
        assert {tensor.sparsity_after for tensor in result.tensors} == {0.5}
