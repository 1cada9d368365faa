"""Every activation in the graph, in the numpy reference and in compaction, against what transformers 4.57 gives."""

from dataclasses import replace

import numpy as np
import pytest

from converters.conversion import convert
from converters.families.formats import ACTIVATION_NAMES
from converters.ir.graph import build_graph
from converters.model.compaction import compact
from converters.model.encoder import FeedForward, Linear
from converters.verification.reference import neurons, reference_logits
from converters.verification.verify import relative_difference, seeded_inputs
from edge_qa import QuestionAnswerer
from edge_qa._openvino import this_core
from tests.support.checkpoints import bert_config, write_checkpoint
from tests.support.encoders import encoder, layer, norm

AT = [-20.0, -3.0, -1.0, 0.0, 0.5, 1.0, 3.0, 20.0]
# transformers.activations.ACT2FN[name](torch.tensor(AT, dtype=torch.float64))
VALUES = {
    "gelu": [0.0, -0.00404969409, -0.158655254, 0.0, 0.345731231, 0.841344746, 2.99595031, 20.0],
    "gelu_10": [0.0, -0.00404969409, -0.158655254, 0.0, 0.345731231, 0.841344746, 2.99595031, 10.0],
    "gelu_new": [0.0, -0.00363739208, -0.158808009, 0.0, 0.34571401, 0.841191991, 2.99636261, 20.0],
    "mish": [-4.12230724e-08, -0.145647461, -0.303401461, 0.0, 0.375245211, 0.865098388, 2.986535, 20.0],
    "quick_gelu": [-3.29341024e-14, -0.0180713097, -0.154204234, 0.0, 0.350388437, 0.845795766, 2.98192869, 20.0],
    "relu": [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 20.0],
    "relu2": [0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 9.0, 400.0],
    "silu": [-4.12230724e-08, -0.14227762, -0.268941421, 0.0, 0.311229666, 0.731058579, 2.85772238, 20.0],
    "tanh": [-1.0, -0.995054754, -0.761594156, 0.0, 0.462117157, 0.761594156, 0.995054754, 1.0],
}
activations = pytest.mark.parametrize(("activation", "name"), ACTIVATION_NAMES.items())


def test_every_activation_has_its_values():
    assert set(ACTIVATION_NAMES.values()) == set(VALUES)


@activations
def test_the_reference(activation, name):
    one = np.ones((1, 1), np.float32)
    block = FeedForward(Linear(one, np.zeros(1, np.float32)), Linear(one, np.zeros(1, np.float32)), norm(1))
    found = neurons(np.array(AT, np.float32)[None, :, None], block, activation)[0, :, 0]
    np.testing.assert_allclose(found, VALUES[name], rtol=1e-6, atol=1e-7)


def constants(activation):
    """A layer whose eight neurons always have the values AT before the activation."""
    whole = layer(2, len(AT))
    (block,) = whole.feed_forwards
    up = Linear(np.zeros_like(block.up.weight), np.array(AT, np.float32))
    return encoder(replace(whole, feed_forwards=(replace(block, up=up),)), activation=activation)


@activations
def test_compaction_folds_the_same_constant(activation, name):
    model = constants(activation)
    before, after = (one.layers[0].feed_forwards[0].down for one in (model, compact(model)))
    assert after.weight.shape[1] == 0
    np.testing.assert_allclose(after.bias, before.bias + before.weight @ VALUES[name], rtol=1e-5, atol=1e-5)


@activations
def test_the_graph(activation, name):
    model = constants(activation)
    compiled = this_core().compile_model(build_graph(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (inputs,) = seeded_inputs(model, ((2, 12, 7),))
    found = compiled(inputs, share_inputs=False)
    got = tuple(np.array(found[role]) for role in ("output_s", "output_e"))
    real = inputs["attention_mask"].astype(bool)
    # The constants themselves, for what the reference and the graph might have wrong alike.
    folded = compact(model)
    assert relative_difference(got, reference_logits(folded, inputs), real) < 1e-4


@activations
def test_a_bundle_loads_and_answers(tmp_path, activation, name):
    source = write_checkpoint(tmp_path / "source", config=bert_config(hidden_act=name))
    made = convert(source, tmp_path / "made")
    assert made.verification.difference <= 1e-4
    assert QuestionAnswerer.load(made.path).answer("who wrote ?", "ada wrote the book").text
