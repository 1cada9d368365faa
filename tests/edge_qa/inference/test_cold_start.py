"""A call in the background gives what it returns or raises."""

import threading

import pytest

from edge_qa.inference.cold_start import Meanwhile


def test_the_call_runs_while_the_caller_goes_on():
    go = threading.Event()
    waiting = Meanwhile(lambda answer, *, plus: (go.wait(10), answer + plus)[1], 40, plus=2)
    go.set()
    assert waiting.result() == 42
    assert waiting.result() == 42


def test_what_it_raises_is_raised_to_whoever_asks():
    def fail() -> None:
        raise KeyboardInterrupt("of any kind")

    failed = Meanwhile(fail)
    with pytest.raises(KeyboardInterrupt, match="of any kind"):
        failed.result()
