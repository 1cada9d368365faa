"""What the native engine cannot run is said before anything is packed."""

from dataclasses import replace

import numpy as np
import pytest

from converters.model.encoder import Relative
from converters.native.pack import cannot_run, pack_bundle
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import Step
from edge_qa.errors import BundleError
from tests.support.encoders import ENCODERS
from tests.support.tiny import tiny_bundle

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


@pytest.mark.parametrize(
    ("step", "how"),
    [
        (Step("convert", {"through": "torch"}, "0" * 64, {}), "exported through PyTorch"),
        (Step("import", {}, "0" * 64, {}), "imported"),
    ],
)
def test_a_graph_of_other_makers_is_named_with_what_helps(step, how, tmp_path):
    bundle = Bundle.load(tiny_bundle(tmp_path / "b"))
    foreign = replace(bundle, manifest=replace(bundle.manifest, lineage=(step, *bundle.manifest.lineage)))
    with pytest.raises(BundleError, match=f"was {how}: .*; answer with OpenVINO"):
        pack_bundle(foreign)
    assert pack_bundle(bundle)
