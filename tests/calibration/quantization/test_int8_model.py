"""INT8 models in memory: names survive, what shall stay float does, and each product's error is measured alone."""

import numpy as np
import pytest

from calibration.quantization.int8_model import attention_products, prepare, quantize_model, quantize_products
from calibration.quantization.product_errors import float_switches, product_errors, relative_error
from calibration.quantization.recipes import DEFAULT, QuantizationRecipe
from converters.ir.bundle_encoder import read_back
from converters.ir.graph import build_graph
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from tests.calibration.quantization.test_balance import inputs, logits
from tests.support.tiny import tiny_bundle

PRODUCTS = [
    f"encoder.layer.{index}.{part}"
    for index in (0, 1)
    for part in (
        "attention.query.matmul",
        "attention.key.matmul",
        "attention.value.matmul",
        "attention.products",
        "attention.output.matmul",
        "ffn.0.up.matmul",
        "ffn.0.down.matmul",
    )
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return read_back(Bundle.load(tiny_bundle(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture
def model(encoder) -> "ov.Model":
    return build_graph(encoder)


@pytest.fixture(scope="module")
def samples(encoder):
    return inputs(encoder, 6)


def nodes(model: "ov.Model") -> dict[str, "ov.Node"]:
    return {node.get_friendly_name(): node for node in model.get_ops()}


def weight_type(model: "ov.Model", product: str) -> str:
    """The type of the constant that a product's weights are stored as."""
    node = nodes(model)[product].input_value(1).get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return node.get_element_type().get_type_name()


def test_names_that_passes_look_for_survive(model, samples):
    before = logits(model, samples[:2])
    quantized = nodes(quantize_model(model, samples, DEFAULT))
    # and the float model is left as it is
    assert all(np.array_equal(a, b) for a, b in zip(before, logits(model, samples[:2]), strict=True))
    kinds = {"probabilities": "Softmax", "norm": "Add", "context": "Reshape", "scores": "Add", "query": "Add"}
    for index in (0, 1):
        for part, kind in kinds.items():
            assert quantized[f"encoder.layer.{index}.attention.{part}"].get_type_name() == kind
        assert quantized[f"encoder.layer.{index}.ffn.0.norm"].get_type_name() == "Add"
    assert {"embeddings.norm", "mask", "qa.logits", "output_s", "output_e"} <= quantized.keys()


def test_products_stay_in_float_that_shall(model, samples):
    kept = ("encoder.layer.0.ffn.0.down.matmul", "encoder.layer.1.attention.products")
    quantized = quantize_model(model, samples, QuantizationRecipe("kept", float_products=kept))
    assert weight_type(quantized, kept[0]) == "f16"
    assert weight_type(quantized, "encoder.layer.1.ffn.0.down.matmul") == "i8"
    assert weight_type(quantized, "qa.logits.matmul") == "f16"
    assert set(float_switches(model, quantized)) == set(PRODUCTS) - set(kept)


def test_attention_products_have_no_weights(model):
    assert attention_products(model) == [
        f"encoder.layer.{index}.attention.{part}" for index in (0, 1) for part in ("products", "mixed")
    ]


def test_smooth_quant_is_as_the_recipe_says(model, samples):
    def smoothed(recipe: QuantizationRecipe) -> int:
        return sum("smooth_quant" in name for name in nodes(quantize_model(model, samples[:1], recipe)))

    assert smoothed(DEFAULT) > 0
    assert smoothed(QuantizationRecipe("off", smooth_quant=None)) == 0


@pytest.mark.parametrize("recipe", [DEFAULT, QuantizationRecipe("off", smooth_quant=None)], ids=["smooth", "off"])
def test_every_switch_on_float_is_the_float_model_again(model, samples, recipe):
    original = prepare(model, samples, recipe)
    quantized = quantize_products(original, samples, recipe)
    wanted = hidden(model, samples)
    assert relative_error(hidden(quantized, samples), wanted) > 0.01
    for switches in float_switches(original, quantized).values():
        for switch in switches:
            switch.port.replace_source_output(switch.float_)
    assert relative_error(hidden(quantized, samples), wanted) < 1e-5


def hidden(model: "ov.Model", samples) -> list[np.ndarray]:
    """What the head reads: SmoothQuant rounds the head's own weights again, although it is not quantized."""
    probe = ov.Model([ov.opset15.result(nodes(model)["encoder.layer.1.ffn.0.norm"])], model.get_parameters())
    compiled = this_core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(compiled(sample)[0]) for sample in samples]


def test_a_products_error_is_that_of_a_model_where_it_alone_is_quantized(model, samples):
    # Without SmoothQuant, and with the same ranges, NNCF told to quantize one product does just that.
    plain = QuantizationRecipe("plain", balance=False, smooth_quant=None)
    found = product_errors(model, quantize_products(model, samples, plain), samples)
    assert sorted(one.product for one in found) == sorted(PRODUCTS)
    assert [one.error for one in found] == sorted((one.error for one in found), reverse=True)
    wanted = logits(model, samples)
    for one in (found[0], found[6]):
        others = tuple(product for product in PRODUCTS if product != one.product)
        alone = quantize_products(model, samples, QuantizationRecipe("alone", False, None, float_products=others))
        assert one.error == pytest.approx(relative_error(logits(alone, samples), wanted), rel=0.25)


def test_relative_error_by_hand():
    wanted = [np.float32([3, 4]), np.float32([0, 2])]
    assert relative_error(wanted, wanted) == 0
    # |(0, 1)|^2 / 25 and |(0, 0)|^2 / 4: the root of the mean of 0.04 and 0
    assert relative_error([np.float32([3, 5]), np.float32([0, 2])], wanted) == pytest.approx(0.02**0.5)
    assert relative_error([np.float32([3, np.nan]), np.float32([0, 2])], wanted) == float("inf")
