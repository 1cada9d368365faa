"""Balancing changes no logit, and makes badly scaled attention ready for 8 bits."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.experiments.hard_to_quantize import scale_attention
from calibration.quantization.balance import balance_channels, factors
from calibration.quantization.int8_model import quantize_model
from calibration.quantization.product_errors import relative_error
from calibration.quantization.recipes import DEFAULT, NNCF_DEFAULT, QuantizationRecipe
from converters.conversion import convert
from converters.ir.bundle_encoder import read_back
from converters.ir.graph import build_graph
from converters.model.encoder import Encoder
from converters.verification.verify import seeded_inputs
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, Encoder]:
    """A tiny model, and the same function with channels scaled over six orders of magnitude; as bundles hold them."""
    folder = tmp_path_factory.mktemp("scaled")
    found = {}
    for name, tensors in (("plain", bert_tensors()), ("scaled", scale_attention(bert_tensors(), decades=3))):
        checkpoint = write_checkpoint(folder / f"{name}-checkpoint", tensors=tensors, config=bert_config())
        found[name] = read_back(Bundle.load(convert(checkpoint, folder / name).path))
    return found


def inputs(encoder: Encoder, count: int = 8) -> list[dict[str, np.ndarray]]:
    return seeded_inputs(encoder, tuple((1, 12 + 4 * index, 12 + 4 * index) for index in range(count)))


def logits(model: "ov.Model", samples: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    compiled = this_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    runs = [compiled(sample, share_outputs=False) for sample in samples]
    return [np.concatenate([run[0].ravel(), run[1].ravel()]) for run in runs]


def ranges(model: "ov.Model", samples: list[dict[str, np.ndarray]], part: str) -> np.ndarray:
    """The largest magnitude of each channel of one node."""
    node = next(node for node in model.get_ops() if node.get_friendly_name() == part)
    probe = ov.Model([ov.opset15.result(node)], model.get_parameters())
    compiled = this_core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.max([np.abs(compiled(sample)[0]).max(axis=(0, 1)) for sample in samples], axis=0)


def test_factors_by_hand():
    wanted, have = np.float32([4, 1, 0, 5, 8, 1e-6]), np.float32([1, 64, 3, 0, 8, 1e6])
    # sqrt(4), sqrt(1/64), two channels with nothing on one side, sqrt(1), the power of two next to 1e-6
    assert factors(wanted, have).tolist() == [2, 1 / 8, 1, 1, 1, 2.0**-20]


def test_scaling_is_the_same_function(encoders):
    plain, scaled = (build_graph(encoders[name]) for name in ("plain", "scaled"))
    samples = inputs(encoders["plain"])
    assert relative_error(logits(scaled, samples), logits(plain, samples)) < 0.01  # float16 loses the smallest


@pytest.mark.parametrize("name", ["plain", "scaled"])
def test_no_logit_changes(encoders, name):
    model, samples = build_graph(encoders[name]), inputs(encoders[name])
    before = logits(model, samples)
    assert balance_channels(model, samples) == 2
    assert relative_error(logits(model, samples), before) < 1e-6


def test_both_sides_of_every_channel_get_the_same_range(encoders):
    model, samples = build_graph(encoders["scaled"]), inputs(encoders["scaled"])
    layer = "encoder.layer.1.attention"

    def share() -> np.ndarray:
        return ranges(model, samples, f"{layer}.query") / ranges(model, samples, f"{layer}.key")

    assert share().max() / share().min() > 1e6
    balance_channels(model, samples)
    # The nearest power of two leaves a factor of sqrt(2) on either side at most.
    assert share().max() <= 2.001
    assert share().min() >= 0.499


def test_layers_that_share_weights_stay_right(encoders):
    encoder = encoders["scaled"]
    model = build_graph(replace(encoder, layers=(encoder.layers[0], encoder.layers[0])))
    samples = inputs(encoder)
    before = logits(model, samples)
    balance_channels(model, samples)
    assert relative_error(logits(model, samples), before) < 1e-6
    assert np.abs(np.log2(ranges(model, samples, "encoder.layer.0.attention.query"))).max() < 12


def test_a_model_with_other_names_is_left_alone(encoders):
    model = build_graph(encoders["plain"])
    for node in model.get_ops():
        node.set_friendly_name(f"other.{node.get_friendly_name()}")
    assert balance_channels(model, inputs(encoders["plain"])) == 0


def test_a_badly_scaled_model_keeps_its_logits_only_when_balanced(encoders):
    model, samples = build_graph(encoders["scaled"]), inputs(encoders["scaled"])
    wanted = logits(model, samples)

    def error(recipe: QuantizationRecipe) -> float:
        return relative_error(logits(quantize_model(model, samples, recipe), samples), wanted)

    assert error(NNCF_DEFAULT) > 0.2
    assert error(DEFAULT) < 0.07
