"""Checkpoints of BERT's layout as pruning, TinyBERT and nn_pruning leave them."""

import json
import logging

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.model.compaction import compact
from converters.model.encoder import Encoder, named_arrays
from converters.verification.reference import reference_logits
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES
from edge_qa.errors import CheckpointError
from edge_qa.inference.engine import Engine
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.places import GOLDEN_FILES

# Written by transformers: 2 and 3 of 4 heads left, ReLU, 14 and 20 of 24 neurons not zero.
PRUNED = GOLDEN_FILES / "pruned_bert"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(PRUNED / "logits.npz") as arrays:
        return dict(arrays)


def difference(got: tuple, wanted: tuple, real: np.ndarray) -> float:
    """Largest difference of real tokens' logits, relative to max(1, the largest logit)."""
    pairs = zip(got, wanted, strict=True)
    return max(float(np.abs(g - w)[real].max() / max(1, np.abs(w[real]).max())) for g, w in pairs)


def golden_difference(run, golden: dict[str, np.ndarray]) -> float:
    """How far `run` is from transformers' logits on the same inputs."""
    got = run({role: golden[role] for role in INPUT_ROLES})
    return difference(got, (golden["start"], golden["end"]), golden["attention_mask"] == 1)


# pruned_heads, ReLU, hybrid-filled


@pytest.mark.parametrize("how", ["exact", None])
def test_a_pruned_checkpoint_computes_what_transformers_computes(tmp_path, golden, how):
    result = convert(PRUNED, tmp_path / "bundle", compact=how)
    assert result.manifest.model.heads == (2, 3)
    assert result.manifest.model.ffn_widths == (((14,), (20,)) if how else ((24,), (24,)))
    assert golden_difference(Engine(Bundle.load(result.path)).run, golden) <= 1e-4


def test_a_ragged_feed_forward_computes_what_its_filled_twin_computes(tmp_path, golden):
    source = read_checkpoint(PRUNED)
    tensors = dict(source.tensors)
    for layer, width in ((0, 14), (1, 20)):
        name = f"bert.encoder.layer.{layer}"
        for part in ("weight", "bias"):
            tensors[f"{name}.intermediate.dense.{part}"] = tensors[f"{name}.intermediate.dense.{part}"][:width]
        tensors[f"{name}.output.dense.weight"] = np.ascontiguousarray(tensors[f"{name}.output.dense.weight"][:, :width])
    folder = write_checkpoint(tmp_path / "ragged", tensors=tensors, config=source.config)
    encoder = read_encoder(read_checkpoint(folder))
    assert [block.width for layer in encoder.layers for block in layer.feed_forwards] == [14, 20]
    assert golden_difference(lambda inputs: reference_logits(encoder, inputs), golden) <= 1e-4


def test_a_layer_may_have_no_heads_and_no_neurons(tmp_path):
    """Its empty tensors stand for a layer that only adds its biases, as one of zeros does."""
    whole, empty = bert_tensors(), bert_tensors()
    name = "bert.encoder.layer.0"
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            whole[f"{name}.attention.self.{part}.{kind}"][:] = 0
            empty[f"{name}.attention.self.{part}.{kind}"] = empty[f"{name}.attention.self.{part}.{kind}"][:0]
    whole[f"{name}.intermediate.dense.weight"][:] = 0
    whole[f"{name}.intermediate.dense.bias"][:] = 0
    for kind in ("weight", "bias"):
        empty[f"{name}.intermediate.dense.{kind}"] = empty[f"{name}.intermediate.dense.{kind}"][:0]
    for part in ("attention.output.dense", "output.dense"):
        empty[f"{name}.{part}.weight"] = np.zeros((32, 0), np.float32)
    one = convert(write_checkpoint(tmp_path / "whole", tensors=whole), tmp_path / "a", compact=None)
    two = convert(write_checkpoint(tmp_path / "empty", tensors=empty), tmp_path / "b", compact=None)
    assert (one.manifest.model.heads, two.manifest.model.heads) == ((4, 4), (0, 4))
    assert two.manifest.model.ffn_widths == ((0,), (48,))
    inputs = {role: np.ones((1, 9), np.int64) for role in INPUT_ROLES} | {"position_ids": np.arange(9)[None]}
    both = [Engine(Bundle.load(result.path)).run(inputs) for result in (one, two)]
    assert difference(*both, np.ones((1, 9), bool)) <= 1e-4


def test_rows_that_are_no_whole_heads_are_refused(tmp_path):
    tensors = bert_tensors()
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            tensor = f"bert.encoder.layer.1.attention.self.{part}.{kind}"
            tensors[tensor] = tensors[tensor][:12]
    tensors["bert.encoder.layer.1.attention.output.dense.weight"] = np.zeros((32, 12), np.float32)
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=tensors)
    with pytest.raises(CheckpointError, match=r"layer\.1.*got 12 rows, wanted a multiple of the head size 8"):
        read_encoder(read_checkpoint(folder))


# no-norm


def no_norm_logits(tensors: dict[str, np.ndarray], ids: np.ndarray, types: np.ndarray, heads: int) -> np.ndarray:
    """BERT with ReLU and y = x * weight + bias for every norm, token by token in float64: (tokens, 2)."""
    t = {name.removeprefix("bert."): array.astype(np.float64) for name, array in tensors.items()}

    def apply(name: str, x: np.ndarray) -> np.ndarray:
        return np.array([t[f"{name}.weight"] @ row + t[f"{name}.bias"] for row in x])

    def no_norm(name: str, x: np.ndarray) -> np.ndarray:
        return x * t[f"{name}.weight"] + t[f"{name}.bias"]

    table = "embeddings.{}_embeddings.weight"
    x = t[table.format("word")][ids] + t[table.format("position")][: len(ids)] + t[table.format("token_type")][types]
    x = no_norm("embeddings.LayerNorm", x)
    size = x.shape[1] // heads
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in t:
        name = f"encoder.layer.{layer}"
        q, k, v = (apply(f"{name}.attention.self.{part}", x) for part in ("query", "key", "value"))
        context = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            for token in range(len(ids)):
                weights = np.exp(k[:, part] @ q[token, part] / size**0.5)
                context[token, part] = weights @ v[:, part] / weights.sum()
        x = no_norm(f"{name}.attention.output.LayerNorm", x + apply(f"{name}.attention.output.dense", context))
        inner = np.maximum(apply(f"{name}.intermediate.dense", x), 0)
        x = no_norm(f"{name}.output.LayerNorm", x + apply(f"{name}.output.dense", inner))
        layer += 1
    return apply("qa_outputs", x)


def test_no_norm_is_a_scale_and_a_shift_in_place_of_every_norm(tmp_path):
    tensors = {name: array.astype(np.float16).astype(np.float32) * 0.5 for name, array in bert_tensors(seed=3).items()}
    config = bert_config(hidden_act="relu", layer_norm_type="no_norm")
    result = convert(write_checkpoint(tmp_path / "checkpoint", tensors=tensors, config=config), tmp_path / "bundle")
    ids, types = np.arange(5, 16), (np.arange(11) > 4).astype(int)
    inputs = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, 11), np.int64),
        "token_type_ids": types[None],
        "position_ids": np.arange(11)[None],
    }
    wanted = no_norm_logits(tensors, ids, types, heads=4)
    got = Engine(Bundle.load(result.path)).run(inputs)
    assert difference(got, (wanted[None, :, 0], wanted[None, :, 1]), np.ones((1, 11), bool)) <= 1e-4
    # The same weights under layer norms are another model, by far: what a reader must never confuse.
    layer_norm = write_checkpoint(tmp_path / "other", tensors=tensors, config=bert_config(hidden_act="relu"))
    other = reference_logits(read_encoder(read_checkpoint(layer_norm)), inputs)
    assert difference(other, (wanted[None, :, 0], wanted[None, :, 1]), np.ones((1, 11), bool)) > 0.1


def test_no_norm_replaces_all_norms_and_layer_norm_none(tmp_path):
    for kind, epsilons in (("no_norm", {None}), ("layer_norm", {1e-12})):
        folder = write_checkpoint(tmp_path / kind, config=bert_config(layer_norm_type=kind))
        encoder = read_encoder(read_checkpoint(folder))
        norms = [encoder.embeddings.norm]
        norms += [norm for layer in encoder.layers for norm in (layer.attention_norm, layer.feed_forwards[0].norm)]
        assert {norm.epsilon for norm in norms} == epsilons


def test_an_unknown_norm_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", config=bert_config(layer_norm_type="rms_norm"))
    with pytest.raises(CheckpointError, match="layer_norm_type: got 'rms_norm', wanted 'layer_norm' or 'no_norm'"):
        read_encoder(read_checkpoint(folder))


# dynamic_tinybert


def arrays_of(encoder: Encoder) -> dict[str, np.ndarray]:
    return dict(named_arrays(encoder))


def test_the_quirks_of_dynamic_tinybert_change_nothing(tmp_path, caplog):
    plain = write_checkpoint(tmp_path / "plain", config=bert_config(hidden_act="relu"))
    quirks = {
        "architectures": ["TinyBertForQuestionAnswering"],
        "attention_head_size": 26,
        "cell": {},
        "structure": [],
        "pre_trained": "",
    }
    random = np.random.default_rng(0)
    extra = {
        "fit_dense.weight": random.normal(size=(32, 32)).astype(np.float32),
        "fit_dense.bias": np.zeros(32, np.float32),
        "bert.pooler.dense.weight": np.zeros((32, 32), np.float32),
        "bert.pooler.dense.bias": np.zeros(32, np.float32),
        "bert.embeddings.position_ids": np.arange(64)[None],
    }
    odd = write_checkpoint(
        tmp_path / "odd", tensors=bert_tensors() | extra, config=bert_config(hidden_act="relu", **quirks)
    )
    with caplog.at_level(logging.WARNING):
        got = read_encoder(read_checkpoint(odd))
    wanted = read_encoder(read_checkpoint(plain))
    assert not caplog.records
    assert got.activation == "relu"
    assert [layer.attention.heads for layer in got.layers] == [4, 4]
    assert [layer.attention.scale for layer in got.layers] == pytest.approx([8**-0.5, 8**-0.5])
    assert arrays_of(got).keys() == arrays_of(wanted).keys()
    assert all(np.array_equal(array, arrays_of(wanted)[name]) for name, array in arrays_of(got).items())
    assert convert(odd, tmp_path / "bundle").manifest.model.heads == (4, 4)


def test_pruned_heads_are_not_counted_twice(tmp_path):
    """The rows say how many heads there are, whatever the configuration says of it."""
    config = json.loads((PRUNED / "config.json").read_text())
    source = read_checkpoint(PRUNED)
    for said in ({}, {"0": [0, 1, 2, 3]}):
        folder = write_checkpoint(
            tmp_path / str(len(said)), tensors=dict(source.tensors), config=config | {"pruned_heads": said}
        )
        assert [layer.attention.heads for layer in compact(read_encoder(read_checkpoint(folder))).layers] == [2, 3]
