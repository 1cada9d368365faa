"""The table of measured costs: what is timed, and how times become costs."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.shrinking.latency_model import compiled_run, head_grid, measure_costs, rising, width_grid
from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.model.compaction import keep_heads
from converters.model.encoder import Encoder
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    """Two layers of 4 heads and 48 neurons, and one of 2 heads."""
    sizes = {"layers": 3, "hidden": 32, "heads": 4, "ffn": 48}
    folder = tmp_path_factory.mktemp("model") / "model"
    found = read_encoder(
        read_checkpoint(write_checkpoint(folder, tensors=bert_tensors(**sizes), config=bert_config(**sizes)))
    )
    last = found.layers[2]
    attention = keep_heads(last.attention, np.arange(4) < 2, last.attention.output.bias)
    return replace(found, layers=(*found.layers[:2], replace(last, attention=attention)))


def test_the_grids_hold_nothing_and_everything():
    assert head_grid(4) == [0, 1, 2, 3, 4]
    assert {0, 1, 2, 6, 12} <= set(head_grid(12)) <= set(range(13))
    assert head_grid(0) == [0]
    assert {0, 48, 96, 192, 1536} <= set(width_grid(1536))
    assert width_grid(0) == [0]


def test_times_become_costs_of_one_block(encoder, monkeypatch):
    """A clock by hand: 5 ms for a model, 4 blocks of 0.5 ms a head, or 0.01 ms a neuron."""
    seen = []
    monkeypatch.setattr("calibration.shrinking.latency_model.compiled_run", lambda *_: None)

    def timer(runs):
        seen.append(set(runs))
        return {key: 7.0 if key == "base" else 5 + 4 * key[2] * (0.5 if key[0] == "heads" else 0.01) for key in runs}

    costs = measure_costs(encoder, 16, timer=timer)
    assert (costs.unit, costs.base) == ("ms", 7.0)
    np.testing.assert_allclose(costs.heads[0], [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(costs.heads[2], [0, 0.5, 1])
    assert costs.width_options == ((0, 16, 32, 48),) * 3
    for widths in costs.widths:
        np.testing.assert_allclose(widths, [0, 0.16, 0.32, 0.48])
    assert costs.dense == pytest.approx(7 + 2 + 2 + 1 + 3 * 0.48)
    # The first two layers are alike, and measured once.
    shapes = {key[1] for key in seen[0] if key != "base"}
    assert len(shapes) == 2


def test_costs_rise_and_begin_at_nothing():
    assert rising([3.0, 4.0, 3.5, 6.0]) == [0.0, 1.0, 1.0, 3.0]


def test_models_of_every_size_really_run(encoder, monkeypatch):
    """The real clock, without asking it for anything but an answer."""
    monkeypatch.setattr("calibration.shrinking.latency_model._ROUNDS", 1)
    monkeypatch.setattr("calibration.shrinking.latency_model._GRID", 2)
    costs = measure_costs(replace(encoder, layers=encoder.layers[1:]), 8)
    assert costs.base > 0
    assert all(cost >= 0 for layer in (*costs.heads, *costs.widths) for cost in layer)
    assert [len(layer) for layer in costs.heads] == [5, 3]
    assert costs.dense >= costs.least >= costs.base


def test_int8_runs_too(encoder):
    compiled_run(encoder, 8, "int8")()
