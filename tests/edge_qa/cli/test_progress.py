"""Progress where nobody watches: a line a minute, whatever the stages are."""

import threading
import time

import click
import pytest

from edge_qa.cli import progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute_across_stages(clock, capsys):
    show = progress.progress_bars()
    for stage in ("windows", "latency"):
        for done in range(1, 5):
            clock[0] += 20
            show(stage, done, 4)
    # After 60 and 120 seconds of 160; a stage that ends does not begin the minute anew.
    assert capsys.readouterr().err.splitlines() == ["windows: 3/4  75%", "latency: 2/4  50%"]


def test_short_work_says_nothing_to_a_log(clock, capsys):
    show = progress.progress_bars()
    for done in range(1, 101):
        clock[0] += 0.5
        show("questions", done, 100)
    assert capsys.readouterr().err == ""


def test_a_stage_of_unknown_length_says_nothing_to_a_log(clock, capsys):
    show = progress.progress_bars()
    clock[0] += 100
    show("read")
    assert capsys.readouterr().err == ""


def test_a_log_gets_a_line_of_a_stage_that_tells_nothing(clock, capsys):
    show = progress.progress_bars()
    for stage, done, total in (("read", 0, 0), ("latency", 0, 4), ("latency", 4, 4)):
        show(stage, done, total)
        clock[0] += 59
        show.pulse()
        clock[0] += 1
        show.pulse()
        show.pulse()
    assert capsys.readouterr().err.splitlines() == [
        "read, 1 min since the start",
        "latency: 0/4, 2 min since the start",
        "after latency, 3 min since the start",
    ]


def test_the_line_comes_while_the_command_is_busy_elsewhere_and_no_thread_outlives_it(capfd, monkeypatch):
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_PULSE_SECONDS", 0.001)
    before = set(threading.enumerate())
    with click.Context(click.Command("slow")):
        progress.progress_bars()("quantize")
        (thread,) = set(threading.enumerate()) - before
        told = ""
        for _ in range(2000):
            told += capfd.readouterr().err
            if told:
                break
            time.sleep(0.005)
    assert told.splitlines()[0] == "quantize, 0 min since the start"
    assert not thread.is_alive()


def test_a_command_that_waits_for_input_has_no_such_lines(capsys):
    before = set(threading.enumerate())
    progress.progress_bars(pulse=False)("answer", 1, 2)
    assert set(threading.enumerate()) <= before


def test_a_terminal_gets_a_line_for_a_stage_and_a_bar_for_its_parts(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    show = progress.progress_bars()
    show("read")
    for done in (1, 2):
        clock[0] += 10
        show("evaluate", done, 2)
    assert capsys.readouterr().err == "read\n\revaluate: 1/2  50%  0 s left   \revaluate: 2/2  100%  0 s left   \n"
