"""An FP16 bundle read back is the Encoder that it was built from, value by value and byte by byte."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.inspection.weight_density import lost_zeros, nonzero_masks, weight_zeros
from converters.inspection.zero_patterns import pattern_of
from converters.ir.bundle_encoder import read_back
from converters.ir.graph import build_graph
from converters.ir.storage import round_to_storage, write_ir
from converters.model.encoder import Encoder
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML
from edge_qa.errors import BundleError
from edge_qa.inference.engine import Engine
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.encoders import ENCODERS, bottleneck_layer, encoder, layer


def bundle_of(model: Encoder, like: Path, folder: Path) -> Bundle:
    """A bundle in memory with this model; everything but the IR is that of another one."""
    folder.mkdir()
    write_ir(build_graph(model), folder)
    base = Bundle.load(like)
    files = {name: np.fromfile(folder / name, np.uint8) for name in (MODEL_XML, MODEL_BIN)}
    record = replace(
        base.manifest.model, family=model.family, vocabulary=model.vocabulary, longest_input=model.longest_input
    )
    return Bundle(folder, replace(base.manifest, model=record), base.contents | files)


def same(got, wanted, path: str = "encoder") -> None:
    """Compare two values of dataclasses, tuples, arrays and plain values, exactly."""
    assert type(got) is type(wanted), path
    if isinstance(wanted, np.ndarray):
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), path
        np.testing.assert_array_equal(got, wanted, path)
    elif isinstance(wanted, tuple):
        assert len(got) == len(wanted), path
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            same(one, other, f"{path}.{index}")
    elif dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            same(getattr(got, field.name), getattr(wanted, field.name), f"{path}.{field.name}")
    else:
        assert got == wanted, path


@pytest.mark.parametrize("name", ENCODERS)
def test_every_value_and_every_byte_comes_back(name, fp16_bundle, tmp_path):
    stored = round_to_storage(ENCODERS[name])
    bundle = bundle_of(stored, fp16_bundle, tmp_path / "one")
    again = read_back(bundle)
    if name != "nothing but norms":  # where the scale of the heads is nowhere
        same(again, stored)
    second = bundle_of(again, fp16_bundle, tmp_path / "two")
    assert second.model_xml == bundle.model_xml
    assert second.model_bin.tobytes() == bundle.model_bin.tobytes()


def test_the_carried_checkpoint_comes_back(checkpoint, fp16_bundle, tmp_path):
    bundle = Bundle.load(fp16_bundle)
    again = read_back(bundle)
    source = read_encoder(read_checkpoint(checkpoint))
    scale = float(np.float32(1 / np.sqrt(32)))  # the graph holds float32
    wanted = tuple(replace(one, attention=replace(one.attention, scale=scale)) for one in source.layers)
    same(again, round_to_storage(replace(source, layers=wanted)))
    copy = bundle_of(again, fp16_bundle, tmp_path / "copy")
    assert copy.model_xml == bundle.model_xml
    assert copy.model_bin.tobytes() == bundle.model_bin.tobytes()


def test_layers_that_share_their_weights_are_the_same_object(fp16_bundle, tmp_path):
    stored = round_to_storage(ENCODERS["shared layers"])
    layers = read_back(bundle_of(stored, fp16_bundle, tmp_path / "b")).layers
    assert layers[0] is layers[1] is layers[3]
    assert layers[2] is not layers[0]


def test_a_bottleneck_layer_without_heads_computes_the_same(fp16_bundle, tmp_path):
    stored = round_to_storage(encoder(bottleneck_layer("shared", heads=0), bottleneck_layer("shared")))
    bundle = bundle_of(stored, fp16_bundle, tmp_path / "one")
    second = bundle_of(read_back(bundle), fp16_bundle, tmp_path / "two")
    ids = np.arange(12).reshape(2, 6)
    ones = np.ones_like(ids)
    inputs = {"input_ids": ids, "attention_mask": ones, "token_type_ids": ones * 0, "position_ids": ids % 6}
    for got, wanted in zip(Engine(second).run(inputs), Engine(bundle).run(inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_quantized_bundle_is_refused(int8_bundle):
    with pytest.raises(BundleError, match="is quantized; give the FP16 bundle"):
        read_back(Bundle.load(int8_bundle))


def test_a_graph_with_other_names_is_refused(fp16_bundle, tmp_path):
    model = build_graph(round_to_storage(ENCODERS["ragged"]))
    next(node for node in model.get_ops() if node.get_friendly_name() == "encoder.layer.1.ffn.0.up").set_friendly_name(
        "x"
    )
    (tmp_path / "b").mkdir()
    write_ir(model, tmp_path / "b")
    base = Bundle.load(fp16_bundle)
    files = {name: np.fromfile(tmp_path / "b" / name, np.uint8) for name in (MODEL_XML, MODEL_BIN)}
    with pytest.raises(BundleError, match=r"no Add called encoder\.layer\.1\.ffn\.0\.up"):
        read_back(replace(base, contents=base.contents | files))


# Zeros in an IR


@pytest.fixture(scope="module")
def sparse_bundles(questions, tmp_path_factory) -> tuple[Path, Path]:
    """A 1x4 sparse checkpoint, converted and quantized."""
    from calibration.quantization.options import QuantizationOptions
    from calibration.quantization.quantize import quantize

    folder = tmp_path_factory.mktemp("sparse")
    sizes = {"layers": 2, "hidden": 64, "heads": 2, "ffn": 128, "positions": 256}
    tensors = bert_tensors(**sizes)
    random = np.random.default_rng(0)
    for name, weight in tensors.items():
        if name.startswith("bert.encoder") and weight.ndim == 2:
            weight *= (random.random((weight.shape[0] // 4, weight.shape[1])) < 0.2).repeat(4, axis=0)
    source = write_checkpoint(folder / "checkpoint", tensors=tensors, config=bert_config(**sizes))
    # In a model this small some neurons are all zero; without them the groups would lie elsewhere.
    fp16 = convert(source, folder / "fp16", compact=None).path
    return fp16, quantize(fp16, folder / "int8", calibration=questions, options=QuantizationOptions(samples=2)).path


def test_zeros_are_counted_by_matrix(sparse_bundles):
    fp16, _ = sparse_bundles
    tensors = read_checkpoint(fp16.parent / "checkpoint").tensors
    zeros = weight_zeros(Bundle.load(fp16))
    assert len(zeros) == 2 * 6 + 1
    for name, part in (("attention.query", "attention.self.query"), ("ffn.0.down", "output.dense")):
        weight = tensors[f"bert.encoder.layer.1.{part}.weight"]
        assert zeros[f"encoder.layer.1.{name}"] == (int((weight == 0).sum()), weight.size)
    assert zeros["qa.logits"] == (0, 128)


def test_quantizing_keeps_every_zero_and_the_pattern(sparse_bundles):
    fp16, int8 = map(Bundle.load, sparse_bundles)
    before, after = weight_zeros(fp16), weight_zeros(int8)
    assert before.keys() == after.keys()
    assert all(after[name][0] >= zeros for name, (zeros, _) in before.items())
    assert set(lost_zeros(fp16, int8).values()) == {0}
    patterns = {name: pattern_of(mask) for name, mask in nonzero_masks(int8)}
    assert patterns["encoder.layer.0.ffn.0.up"].block == (4, 1)
    assert patterns["encoder.layer.0.ffn.0.up"].shape == (128, 64)


def test_a_lost_zero_is_found(fp16_bundle, tmp_path):
    stored = round_to_storage(encoder(layer(4, 24)))
    up = stored.layers[0].feed_forwards[0].up.weight
    up[3, :5] = 0
    sparse = bundle_of(stored, fp16_bundle, tmp_path / "sparse")
    up[3, 1:3] = 1
    up[0, 0] = 0  # a zero that is new is no loss
    dense = bundle_of(stored, fp16_bundle, tmp_path / "dense")
    assert lost_zeros(sparse, dense)["encoder.layer.0.ffn.0.up"] == 2
    assert sum(lost_zeros(sparse, dense).values()) == 2
    other = bundle_of(round_to_storage(encoder(layer(4, 25))), fp16_bundle, tmp_path / "other")
    with pytest.raises(BundleError, match=r"matrix encoder\.layer\.0\.ffn\.0\.up is 25x16, in .* it is 24x16"):
        lost_zeros(sparse, other)


def test_zero_points_and_turned_weights_are_understood(fp16_bundle, tmp_path):
    """An IR of other hands: (in, out) weights, 8 bits around a zero point, a transposition."""
    ops = ov.opset15
    x = ops.parameter([1, 3], np.float32, name="x")
    plain = ops.matmul(x, ops.constant(np.array([[0, 1], [2, 0], [0, 0]], np.float32)), False, False, name="plain")
    stored = ops.constant(np.array([[7, 9, 7], [7, 7, 7]], np.uint8))
    point = ops.convert(ops.constant(np.full((2, 1), 7, np.uint8)), "f32")
    scaled = ops.multiply(
        ops.subtract(ops.convert(stored, "f32"), point), ops.constant(np.full((2, 1), 0.5, np.float32))
    )
    quantized = ops.matmul(x, scaled, False, True, name="quantized.matmul")
    turned = ops.transpose(
        ops.constant(np.array([[0, 5], [0, 3]], np.float32)), ops.constant(np.array([1, 0], np.int64))
    )
    last = ops.matmul(quantized, turned, False, True, name="turned")
    model = ov.Model([ops.result(plain, name="a"), ops.result(last, name="b")], [x], "foreign")
    (tmp_path / "b").mkdir()
    write_ir(model, tmp_path / "b")
    files = {name: np.fromfile(tmp_path / "b" / name, np.uint8) for name in (MODEL_XML, MODEL_BIN)}
    bundle = replace(Bundle.load(fp16_bundle), contents=files)
    assert weight_zeros(bundle) == {"plain": (4, 6), "quantized": (5, 6), "turned": (2, 4)}
    patterns = {name: pattern_of(mask) for name, mask in nonzero_masks(bundle)}
    assert patterns["plain"].shape == (2, 3)
    assert patterns["plain"].zero_columns == 1  # the third input
    assert patterns["turned"].zero_rows == 1  # the first output
    assert patterns["turned"].zero_columns == 0
