"""A search that was interrupted goes on, and only that search."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from calibration.token_budgets.evolution import evolve
from calibration.token_budgets.state import Record
from calibration.token_budgets.trials import Trial
from edge_qa.errors import InputError, ResourceError
from tests.support.budget_objective import SPACE, measured

SEARCH = {"bundle": "abc", "seed": "0"}
ALLOWANCE = 8.0  # percent points of F1


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
    measure = record.remembered(measuring, ALLOWANCE)
    return evolve(SPACE, measure, population=5, generations=3, allowance=ALLOWANCE, seed=3)


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


def one(verdict, drop=5.0, error=1.0, latency=0.5, shares=(1.0, 0.7, 0.4)):
    return Trial(shares, latency, 90.0 - drop, drop, error, 30, verdict, 0)


BETTER = one("complete", drop=3.0, error=0.1, latency=0.4, shares=(0.4, 0.4, 0.4))


@pytest.mark.parametrize(
    ("known", "before", "allowance", "verdict"),
    [
        # Lost 5 +- 1 points of 30 questions, at the very least 5 - 1.64 = 3.36: beyond 3, and open at 4.
        (one("beyond the drop"), [], 3.0, "beyond the drop"),
        (one("beyond the drop"), [], 4.0, "measured again"),
        # At 4 points another one is faster and lost only 3.
        (one("beyond the drop"), [BETTER], 4.0, "dominated"),
        (one("dominated"), [BETTER], 4.0, "dominated"),
        (one("dominated"), [], 4.0, "measured again"),
        # At 2 points that one does not count, and this one is beyond them itself.
        (one("dominated"), [BETTER], 2.0, "beyond the drop"),
        (one("complete"), [], 100.0, "complete"),
        (Trial((1.0, 0.7, 0.4), 1.1, None, None, None, 0, "not faster", 0), [], 100.0, "not faster"),
    ],
)
def test_what_was_stopped_is_measured_again_only_where_the_drop_leaves_it_open(
    tmp_path, known, before, allowance, verdict
):
    state = tmp_path / "state.json"
    record = Record(state, SEARCH)
    record.trials[known.shares] = known
    record.write()
    measuring = Measuring()
    found = Record(state, SEARCH).remembered(measuring, allowance)(known.shares, 0, before)
    if verdict == "measured again":
        assert (measuring.count, found) == (1, measured(known.shares))
        assert Record(state, SEARCH).trials == {known.shares: found}
    else:
        assert (measuring.count, found) == (0, replace(known, verdict=verdict))


def test_a_state_from_before_it_held_for_every_drop_is_read(tmp_path):
    state = tmp_path / "state.json"
    search(state, Measuring())
    content = json.loads(state.read_text())
    content["search"]["max_drop"] = "1"
    state.write_text(json.dumps(content))
    assert len(Record(state, SEARCH).trials) == len(content["trials"])
