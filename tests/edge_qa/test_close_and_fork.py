"""Closing and forking while others ask: nobody waits for ever, and a child ends."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from converters.token_budgets.token_dropping import Keep
from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError
from tests.support.budgets import bundle_with_budgets
from tests.support.tiny import tiny_bundle

QUESTION, TEXT = "who flew ?", "ada flew a pilot twice at noon"


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("close")
    source = tiny_bundle(folder)
    layers = QuestionAnswerer.load(source).manifest.model.layers
    return bundle_with_budgets(source, folder / "budgets", {"fast": Keep((0.5,) * layers)})


def test_threads_that_ask_learn_that_it_was_closed(path):
    qa = QuestionAnswerer.load(path)
    told = []

    def ask() -> None:
        try:
            while True:
                qa.answer(QUESTION, TEXT)
        except InputError as error:
            told.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    qa.answer(QUESTION, TEXT)
    qa.close()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert len(told) == 6
    assert all("closed" in text for text in told)


def test_a_budget_is_not_compiled_after_closing(path):
    qa = QuestionAnswerer.load(path)
    qa.close()
    qa.close()
    with pytest.raises(InputError, match="closed"):
        qa.answer(QUESTION, TEXT, budget="fast")


@pytest.mark.parametrize("end", ["sys.exit(0)", "qa.close(); sys.exit(0)", "del qa; gc.collect(); sys.exit(0)"])
def test_a_forked_child_answers_and_ends(path, end):
    code = f"""
import gc, os, sys
from edge_qa import QuestionAnswerer
qa = QuestionAnswerer.load({str(path)!r})
wanted = qa.answer({QUESTION!r}, {TEXT!r})
child = os.fork()
if child == 0:
    assert qa.answer({QUESTION!r}, {TEXT!r}) == wanted
    assert qa.answer({QUESTION!r}, {TEXT!r}, budget="fast").text in {TEXT!r}
    {end}
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0", done.stderr


def test_a_signal_is_handled_after_closing_in_any_order(path):
    # With a core for each, OpenVINO leaves the thread with a signal stack that is no longer there.
    code = f"""
import os, signal
from edge_qa import QuestionAnswerer
first, second = (QuestionAnswerer.load({str(path)!r}) for _ in range(2))
for qa in (first, second):
    qa.answer({QUESTION!r}, {TEXT!r})
first.close()
second.close()
del first, second, qa
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_a_relative_path_is_kept_when_the_folder_changes(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    qa = QuestionAnswerer.load(path.name)
    os.chdir(tmp_path)
    assert qa.answer(QUESTION, TEXT, budget="fast").text in TEXT
