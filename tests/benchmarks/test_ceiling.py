"""Times out of OpenVINO's counters, which are means of all runs since a model was compiled."""

from types import SimpleNamespace

import pytest

from benchmarks.side_by_side import ceiling


class FakeRequest:
    """Takes the seconds that are given, run by run, and counts as OpenVINO does."""

    def __init__(self, seconds):
        self.left, self.taken = iter(seconds), []

    def infer(self, inputs, share_inputs):
        self.taken.append(next(self.left))

    @property
    def profiling_info(self):
        mean = sum(self.taken) / len(self.taken)
        time = SimpleNamespace(total_seconds=lambda: mean)
        other = SimpleNamespace(total_seconds=lambda: 100.0)
        return [
            SimpleNamespace(node_type="FullyConnected", real_time=time),
            SimpleNamespace(node_type="FakeQuantize", real_time=other),
        ]


def test_the_peak_is_that_of_the_best_five_runs_without_the_warm_up(monkeypatch):
    warm_up, blocks = [9.0] * 5, [1.5, 3.0, 2.0, 4.0, 2.5]
    seconds = [*warm_up, *(value for block in blocks for value in (block - 0.5, *[block] * 3, block + 0.5))]
    monkeypatch.setattr(ceiling, "_request", lambda model, threads, profile: FakeRequest(seconds))
    assert ceiling._product_seconds(4, 8, 8, 1) == pytest.approx(1.5)
