"""A search that was interrupted goes on, and only that search."""

import json
from pathlib import Path

import pytest

from calibration.token_budgets.evolution import evolve
from calibration.token_budgets.state import Record
from edge_qa.errors import InputError, ResourceError
from tests.support.budget_objective import SPACE, measured

SEARCH = {"bundle": "abc", "seed": "0"}


class Measuring:
    """Counts, and is interrupted at its n-th measurement."""

    def __init__(self, interrupted_at=None):
        self.count, self.interrupted_at = 0, interrupted_at

    def __call__(self, shares, generation, trials):
        if self.count == self.interrupted_at:
            raise KeyboardInterrupt
        self.count += 1
        return measured(shares, generation, trials)


def search(path, measuring):
    record = Record(path, SEARCH)
    measure = record.remembered(measuring)
    return evolve(SPACE, measure, population=5, generations=3, allowance=8.0, seed=3)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_resumed_search_is_the_uninterrupted_one(tmp_path, at):
    whole = Measuring()
    wanted = search(None, whole)
    state = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        search(state, Measuring(interrupted_at=at))
    rest = Measuring()
    assert search(state, rest) == wanted
    assert rest.count == whole.count - at
    again = Measuring()
    assert search(state, again) == wanted
    assert again.count == 0


def test_without_a_file_nothing_is_written(tmp_path):
    search(None, Measuring())
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_another_search_is_refused(tmp_path):
    state = tmp_path / "state.json"
    search(state, Measuring())
    with pytest.raises(InputError, match=r"another search \(seed: got 0, wanted 1\); give another `state`") as caught:
        Record(state, SEARCH | {"seed": "1"})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="rule: got none, wanted probe"):
        Record(state, SEARCH | {"rule": "probe"})


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "nonsense", '{"format": 1, "search": {}, "trials": [{"shares": "x"}]}', "\ud800"]
)
def test_what_is_no_state_is_refused_in_one_line(tmp_path, content):
    state = tmp_path / "state.json"
    state.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match="is not the state of a search") as caught:
        Record(state, SEARCH)
    assert "\n" not in str(caught.value)


def test_a_newer_format_is_refused(tmp_path):
    state = tmp_path / "state.json"
    search(state, Measuring())
    state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 2}))
    with pytest.raises(InputError, match="format 2, this release reads 1"):
        Record(state, SEARCH)


def test_an_interrupted_write_leaves_the_state_before_it(tmp_path, monkeypatch):
    state = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        search(state, Measuring(interrupted_at=4))
    before = state.read_bytes()

    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(ResourceError, match="cannot be written"):
            search(state, Measuring())
    assert state.read_bytes() == before
    assert list(tmp_path.iterdir()) == [state]
    assert len(Record(state, SEARCH).trials) == 4


@pytest.mark.parametrize("latency", ["NaN", "1e999", "-3.0"])
def test_a_measurement_that_is_none_is_refused(tmp_path, latency):
    state = tmp_path / "state.json"
    search(state, Measuring())
    content = json.loads(state.read_text())
    content["trials"][0]["latency"] = "HERE"
    state.write_text(json.dumps(content).replace('"HERE"', latency))
    with pytest.raises(InputError, match="its measurement of"):
        Record(state, SEARCH)
