"""Relative positions beyond their logits, which test_families.py holds: every pass knows them, or says no."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.quantization.balance import balance_channels
from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.ir.counting import count
from converters.ir.graph import build_graph
from converters.model.compaction import compact
from converters.model.encoder import Linear
from converters.model.matrices import multiply_adds
from converters.token_budgets.token_dropping import Keep, drop_tokens
from converters.verification.reference import reference_logits
from converters.verification.verify import relative_difference, seeded_inputs
from edge_qa.errors import BundleError, CheckpointError
from tests.support.encoders import ENCODERS
from tests.support.places import GOLDEN_FILES

FOLDERS = [GOLDEN_FILES / "families" / name for name in ("bert-relative", "electra-relative")]
KINDS = pytest.mark.parametrize("name", ["relative_key", "relative_key_query"])


def logits(encoder):
    (inputs,) = seeded_inputs(encoder, ((2, 20, 11),))
    return reference_logits(encoder, inputs), inputs["attention_mask"].astype(bool)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_written_back_it_is_the_same_checkpoint(tmp_path, folder):
    source = read_checkpoint(folder)
    encoder = read_encoder(source)
    again = read_checkpoint(write_checkpoint(encoder, tmp_path / "out", source=source))
    assert again.config["position_embedding_type"] == source.config["position_embedding_type"]
    for layer, wanted in zip(read_encoder(again).layers, encoder.layers, strict=True):
        np.testing.assert_array_equal(layer.attention.relative.table, wanted.attention.relative.table)
        assert layer.attention.relative.of_keys == wanted.attention.relative.of_keys
    got, real = logits(read_encoder(again))
    assert relative_difference(got, logits(encoder)[0], real) == 0


def test_a_layer_without_heads_is_written_with_its_table(tmp_path):
    source = read_checkpoint(FOLDERS[0])
    encoder = read_encoder(source)
    first = encoder.layers[0]
    values = first.attention.value
    dead = replace(first.attention, value=Linear(np.zeros_like(values.weight), values.bias))
    encoder = compact(replace(encoder, layers=(replace(first, attention=dead), *encoder.layers[1:])))
    assert encoder.layers[0].attention.heads == 0
    again = read_encoder(read_checkpoint(write_checkpoint(encoder, tmp_path / "out", source=source)))
    got, real = logits(again)
    assert relative_difference(got, logits(encoder)[0], real) < 1e-5


@KINDS
def test_the_parts_are_counted_as_the_graph_does(name):
    encoder = ENCODERS[name]
    assert count(build_graph(encoder), 24).multiply_adds == multiply_adds(encoder, 24)


@KINDS
def test_tokens_are_not_dropped(name):
    with pytest.raises(BundleError, match="adds relative positions, and tokens that are dropped would change"):
        drop_tokens(build_graph(ENCODERS[name]), Keep((0.9, 0.5)))


@KINDS
def test_its_queries_and_keys_are_not_balanced(name):
    # A channel of q is multiplied by the table, too, whose share nothing divides again.
    (inputs,) = seeded_inputs(ENCODERS[name], ((1, 20, 20),))
    assert balance_channels(build_graph(ENCODERS[name]), [inputs]) == 0


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_is_not_trained(folder):
    pytest.importorskip("torch")
    model = pytest.importorskip("calibration.torch_model.model")
    with pytest.raises(CheckpointError, match="its attention adds relative positions"):
        model.TorchEncoder(read_encoder(read_checkpoint(folder)))


def test_a_table_of_another_size_is_refused():
    source = read_checkpoint(FOLDERS[0])
    key = "bert.encoder.layer.0.attention.self.distance_embedding.weight"
    tensors = source.tensors | {key: source.tensors[key][1:]}
    with pytest.raises(CheckpointError, match=r"distance_embedding\.weight: got 190x6, wanted 191x6"):
        read_encoder(replace(source, tensors=tensors))
