"""Parameters, multiply-adds and sparsity of graphs, against figures worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from converters.ir.counting import count
from converters.ir.graph import build_graph
from converters.model.encoder import Attention, Embeddings, Encoder, FeedForward, Layer, Linear, Norm
from edge_qa._openvino import ov, this_core
from tests.support.foreign_models import FFN, HIDDEN, LAYERS, WORDS, make_encoder, ops, quantize_products, zoo_model

T = 384
# Of the encoder of foreign_models: 4 matrices of attention, 2 of the feed-forward block, and the head.
WEIGHTS = LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * FFN) + 2 * HIDDEN
VECTORS = LAYERS * (4 * HIDDEN + FFN + HIDDEN + 4 * HIDDEN) + 2 * HIDDEN + 2
TABLES = (WORDS + 64 + 2) * HIDDEN
# Scores and mixture, tokens^2 each: all heads side by side are HIDDEN wide.
ATTENTION = LAYERS * 2 * HIDDEN


def full_size(hidden: int, layers: int, heads: int, width: int, blocks: int, positions: int) -> Encoder:
    """An encoder of BERT's vocabulary whose weights are zeros that take no memory until they are read."""

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(np.zeros((outputs, inputs), np.float16), np.zeros(outputs, np.float32))

    def norm() -> Norm:
        return Norm(np.ones(hidden, np.float32), np.zeros(hidden, np.float32), 1e-12)

    def layer() -> Layer:
        attention = Attention(heads, 0.125, *(linear(hidden, hidden) for _ in range(4)))
        ffn = tuple(FeedForward(linear(width, hidden), linear(hidden, width), norm()) for _ in range(blocks))
        return Layer(attention, norm(), ffn)

    tables = (np.zeros((rows, hidden), np.float16) for rows in (30522, positions, 2))
    words, places, types = tables
    embeddings = Embeddings(words, places, 0, types, norm())
    return Encoder("bert", embeddings, tuple(layer() for _ in range(layers)), "gelu", linear(2, hidden))


def test_bert_small_of_the_zoo() -> None:
    # "Three 512->512 blocks then an output 512->512": four matrices, which are two feed-forward blocks
    # of width 512, up and down twice. With four of attention: 12 * 8 * 512^2.
    cost = count(build_graph(full_size(512, layers=12, heads=8, width=512, blocks=2, positions=512)))
    vectors = 12 * (8 * 512 + 3 * 2 * 512) + 2 * 512 + 2
    assert cost.parameters == 12 * 8 * 512**2 + (30522 + 512 + 2) * 512 + 2 * 512 + vectors
    assert f"{cost.parameters / 1e6:.1f}" == "41.1"
    assert cost.multiply_adds == 12 * (8 * 512**2 * T + 2 * 512 * T**2) + 2 * 512 * T
    assert f"{2 * cost.multiply_adds / 1e9:.2f}" == "22.95"
    assert cost.sparsity == 1.0


def test_bert_large_of_the_zoo() -> None:
    cost = count(build_graph(full_size(1024, layers=24, heads=16, width=4096, blocks=1, positions=384)))
    assert cost.parameters == 333_963_266
    assert f"{cost.parameters / 1e6:.2f}" == "333.96"
    assert f"{2 * cost.multiply_adds / 1e9:.1f}" == "246.4"
    assert (cost.tokens, cost.counted_at) == (384, 384)


def test_a_small_model_to_the_unit() -> None:
    cost = count(build_graph(make_encoder()))
    assert cost.parameters == WEIGHTS + VECTORS + TABLES
    assert cost.multiply_adds == WEIGHTS * T + ATTENTION * T**2


def test_layers_that_share_their_weights_hold_them_once_and_use_them_twice() -> None:
    encoder = make_encoder()
    shared = Encoder("albert", encoder.embeddings, (encoder.layers[0],) * 2, "gelu", encoder.head)
    cost, whole = count(build_graph(shared)), count(build_graph(encoder))
    assert cost.parameters == whole.parameters - (WEIGHTS - 2 * HIDDEN) // 2 - (VECTORS - 2 * HIDDEN - 2) // 2
    assert cost.multiply_adds == whole.multiply_adds


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("activations", [False, True])
def test_what_only_serves_quantization_is_no_parameter(integers: bool, activations: bool) -> None:
    model = zoo_model(make_encoder())
    quantize_products(model, integers=integers, activations=activations)
    model.validate_nodes_and_infer_types()
    assert count(model).parameters == WEIGHTS + VECTORS + TABLES


def test_an_int8_bundle_has_the_parameters_of_the_one_it_was_made_of(fp16_bundle: Path, int8_bundle: Path) -> None:
    core = this_core()
    costs = [count(core.read_model(path / "model.xml")) for path in (fp16_bundle, int8_bundle)]
    assert costs[0].parameters == costs[1].parameters
    assert costs[0].multiply_adds == costs[1].multiply_adds


@pytest.mark.parametrize("tokens", [16, 48])
def test_a_fixed_length_is_scaled_to_the_length_that_is_asked_for(tokens: int) -> None:
    cost = count(zoo_model(make_encoder(), tokens=tokens), T)
    assert cost.multiply_adds == WEIGHTS * T + ATTENTION * T**2
    assert (cost.tokens, cost.counted_at) == (T, tokens)


def test_a_model_of_few_tokens_is_scaled_from_the_most_it_takes() -> None:
    cost = count(build_graph(make_encoder()), T, longest=64)
    assert cost.multiply_adds == WEIGHTS * T + ATTENTION * T**2
    assert cost.counted_at == 64


def test_a_fixed_batch_is_counted_for_one_input() -> None:
    model = zoo_model(make_encoder(), tokens=16)
    model.reshape({port: [4, 16] for port in model.inputs})
    assert count(model, 16).multiply_adds == WEIGHTS * 16 + ATTENTION * 16**2


def test_the_model_is_left_as_it_is() -> None:
    model = build_graph(make_encoder())
    count(model)
    assert all(port.get_partial_shape() == ov.PartialShape([-1, -1]) for port in model.inputs)


# Sparsity: the share of zeros among the weights of products


def tokens_model(make: object) -> "ov.Model":
    """A model (batch, tokens) -> make(float (batch, tokens, 1))."""
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    wide = ops.unsqueeze(ops.convert(ids, "f32"), ops.constant(np.int64(2)))
    return ov.Model([ops.result(make(wide))], [ids], "small")  # type: ignore[operator]


VALUES = np.array([[0, 3, -2, 0, 5, 0]], np.float32)  # (1, 6), half zeros


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_sparsity_of_a_float_weight(kind: type) -> None:
    values = VALUES.astype(kind)
    values[0, 0] = -0.0  # a zero as well
    model = tokens_model(
        lambda x: ops.matmul(x, ops.convert(ops.constant(values), "f32"), False, False),
    )
    cost = count(model, 10)
    assert (cost.parameters, cost.multiply_adds, cost.sparsity) == (6, 60, 0.5)


def test_sparsity_of_an_integer_weight_is_counted_from_its_zero_point() -> None:
    def product(x: "ov.Node") -> "ov.Node":
        stored = ops.convert(ops.constant((VALUES + 7).astype(np.uint8)), "f32")
        shifted = ops.subtract(stored, ops.convert(ops.constant(np.full((1, 6), 7, np.uint8)), "f32"))
        return ops.matmul(x, ops.multiply(shifted, ops.constant(np.full((1, 6), 0.1, np.float32))), False, False)

    cost = count(tokens_model(product), 10)
    assert (cost.parameters, cost.multiply_adds, cost.sparsity) == (6, 60, 0.5)


def test_sparsity_of_a_weight_behind_fake_quantize() -> None:
    def product(x: "ov.Node") -> "ov.Node":
        half = ops.convert(ops.constant(VALUES.astype(np.float16)), "f32")
        top = np.full((1, 6), 5, np.float32)
        return ops.matmul(x, ops.fake_quantize(half, -top, top, -top, top, 255), False, False)

    cost = count(tokens_model(product), 10)
    assert (cost.parameters, cost.multiply_adds, cost.sparsity) == (6, 60, 0.5)


# Products that are not MatMul


def test_an_einsum_counts_every_axis_once() -> None:
    weight = ops.constant(np.ones((1, 6), np.float32))
    model = tokens_model(lambda x: ops.einsum([x, weight], "bte,eo->bto"))
    assert count(model, 10).multiply_adds == 10 * 6


def test_fused_attention_counts_its_two_products() -> None:
    def attend(x: "ov.Node") -> "ov.Node":
        heads = ops.unsqueeze(ops.matmul(x, ops.constant(np.ones((1, 8), np.float32)), False, False), ops.constant(1))
        return ops.scaled_dot_product_attention(heads, heads, heads)

    assert count(tokens_model(attend), 10).multiply_adds == 10 * 8 + 2 * 10 * 10 * 8


def test_a_convolution_counts_its_window() -> None:
    def convolve(x: "ov.Node") -> "ov.Node":
        turned = ops.transpose(x, ops.constant(np.array([0, 2, 1])))
        return ops.convolution(turned, ops.constant(np.ones((5, 1, 3), np.float32)), [1], [1], [1], [1])

    assert count(tokens_model(convolve), 10).multiply_adds == 10 * 5 * 3


def test_products_of_a_transposed_input() -> None:
    def product(x: "ov.Node") -> "ov.Node":
        turned = ops.transpose(x, ops.constant(np.array([0, 2, 1])))  # (batch, 1, tokens)
        return ops.matmul(turned, ops.constant(np.ones((6, 1), np.float32)), True, True)

    assert count(tokens_model(product), 10).multiply_adds == 10 * 6
