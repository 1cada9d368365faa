"""An FP16 bundle read back is the Encoder that it was built from, value by value and byte by byte."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.bundle_encoder import read_back
from converters.checkpoint import read_checkpoint
from converters.convert import convert
from converters.encoder import Attention, Bottleneck, Embeddings, Encoder, FeedForward, Layer, Linear, Norm
from converters.families import read_encoder
from converters.graph import build_graph
from converters.ir_writer import write_ir
from converters.storage import round_to_storage
from converters.weight_density import lost_zeros, weight_patterns, weight_zeros
from edge_qa._openvino import ov
from edge_qa.bundle import Bundle
from edge_qa.engine import Engine
from edge_qa.errors import BundleError
from edge_qa.manifest import MODEL_BIN, MODEL_XML
from tests.checkpoints import bert_config, bert_tensors, write_checkpoint

RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def linear(outputs: int, inputs: int) -> Linear:
    return Linear(draw(outputs, inputs), draw(outputs))


def norm(size: int, epsilon: float | None = 1e-12) -> Norm:
    return Norm(draw(size), draw(size), epsilon)


def layer(heads: int, *widths: int, hidden: int = 16, size: int = 4, scale: float = 0.5) -> Layer:
    rows = heads * size
    query, key, value = (linear(rows, hidden) for _ in range(3))
    attention = Attention(heads, scale, query, key, value, linear(hidden, rows))
    blocks = tuple(FeedForward(linear(width, hidden), linear(hidden, width), norm(hidden)) for width in widths)
    return Layer(attention, norm(hidden), blocks)


def bottleneck_layer(reads: str, *, heads: int = 2) -> Layer:
    """A MobileBERT layer: 16 channels between layers, 8 inside."""
    shared = (linear(8, 16), norm(8, None)) if reads == "shared" else (None, None)
    middle = Bottleneck(linear(8, 16), norm(8, None), *shared, linear(16, 8), norm(16, None), reads)
    keys, values = {"shared": (8, 16), "narrow": (8, 8), "whole": (16, 16)}[reads]
    rows = heads * 4
    attention = Attention(heads, 0.5, linear(rows, keys), linear(rows, keys), linear(rows, values), linear(8, rows))
    blocks = tuple(FeedForward(linear(20, 8), linear(8, 20), norm(8, None)) for _ in range(2))
    return Layer(attention, norm(8, None), blocks, middle)


def embeddings(size: int = 16, **changes) -> Embeddings:
    plain = Embeddings(draw(30, size), draw(24, size), 0, draw(2, size), norm(size))
    return replace(plain, **changes)


def encoder(*layers: Layer, tables: Embeddings | None = None, activation: str = "gelu") -> Encoder:
    return Encoder("bert", tables or embeddings(), layers, activation, linear(2, 16))


SHARED = layer(4, 24)
ENCODERS = {
    "ragged": encoder(layer(4, 24), layer(1, 7), layer(3, 24)),
    "several blocks": encoder(layer(2, 16, 12, 16), layer(4, 8)),
    "layer without heads": encoder(layer(4, 24), layer(0, 24)),
    "layer without neurons": encoder(layer(4, 0), layer(4, 24)),
    "layer without anything": encoder(layer(0, 0), layer(2, 8)),
    "nothing but norms": encoder(layer(0, 0), layer(0, 0)),
    "shared layers": encoder(SHARED, SHARED, layer(4, 24), SHARED),
    "narrowed heads keep their scale": encoder(layer(4, 24, scale=0.125)),
    "no norm": encoder(replace(layer(4, 24), attention_norm=norm(16, None)), layer(2, 8)),
    "epsilons": encoder(replace(layer(4, 24), attention_norm=norm(16, 1e-5)), layer(2, 8)),
    "position offset": encoder(layer(4, 24), tables=embeddings(position_offset=2)),
    "no token types": encoder(layer(4, 24), tables=embeddings(token_type=None)),
    "projection": encoder(layer(4, 24), tables=embeddings(6, projection=linear(16, 6))),
    "wide values": encoder(
        replace(SHARED, attention=replace(SHARED.attention, value=linear(20, 16), output=linear(16, 20)))
    ),
    "trigrams": encoder(
        bottleneck_layer("shared"),
        tables=embeddings(word=draw(30, 5), widen=linear(16, 15)),
        activation="relu",
    ),
    "bottleneck, narrow": encoder(bottleneck_layer("narrow"), bottleneck_layer("narrow")),
    "bottleneck, whole": encoder(bottleneck_layer("whole"), bottleneck_layer("whole")),
    "gelu_tanh": encoder(layer(4, 24), activation="gelu_tanh"),
    "relu": encoder(layer(4, 24), activation="relu"),
    "silu": encoder(layer(4, 24), activation="silu"),
}


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
    from calibration.quantize import quantize

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
    return fp16, quantize(fp16, folder / "int8", calibration=questions, samples=2).path


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
    patterns = weight_patterns(int8)
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
    patterns = weight_patterns(bundle)
    assert patterns["plain"].shape == (2, 3)
    assert patterns["plain"].zero_columns == 1  # the third input
    assert patterns["turned"].zero_rows == 1  # the first output
    assert patterns["turned"].zero_columns == 0
