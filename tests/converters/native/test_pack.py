"""What the native engine cannot run is said before anything is packed."""

from dataclasses import replace

import numpy as np
import pytest

from converters.model.encoder import Relative
from converters.native.pack import cannot_run
from tests.support.encoders import ENCODERS

PLAIN = next(iter(ENCODERS.values()))


def test_a_plain_encoder_runs():
    assert cannot_run(PLAIN) is None


@pytest.mark.parametrize("activation", ["mish", "quick_gelu", "gelu_10", "relu2", "tanh"])
def test_other_activations_are_named(activation):
    assert (
        cannot_run(replace(PLAIN, activation=activation))
        == f"the native engine does not take the activation {activation}"
    )


def test_relative_positions_are_named():
    layer = PLAIN.layers[0]
    table = np.zeros((2 * 16 - 1, layer.attention.key_size), np.float32)
    attention = replace(layer.attention, relative=Relative(table))
    encoder = replace(PLAIN, layers=(replace(layer, attention=attention), *PLAIN.layers[1:]))
    assert cannot_run(encoder) == "the native engine does not take relative positions"


def test_no_layers_are_named():
    assert cannot_run(replace(PLAIN, layers=())) == "the native engine does not take a model without layers"
