"""A small dose of `make fuzz`."""

from tests.fuzz.__main__ import fuzz


def test_damaged_inputs_are_refused_in_one_line():
    report = fuzz(300, seed=1)
    assert not report.failures
    assert sum(report.done.values()) == 300
    assert report.refused > 100
