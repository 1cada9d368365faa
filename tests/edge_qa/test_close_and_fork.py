"""Closing and forking while others ask: nobody waits for ever, and a child ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from converters.token_budgets.token_dropping import Keep
from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError
from tests.support.asking import closed_while_asked
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
    told = closed_while_asked(QuestionAnswerer.load(path), QUESTION, TEXT)
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


_FORK_WHILE_ASKING = """
import multiprocessing, os, sys, threading, time
from edge_qa import QuestionAnswerer
path, question, text, how = sys.argv[1:]
qa = QuestionAnswerer.load(path)
wanted = qa.answer(question, text)
going = True
def ask():
    while going:
        assert qa.answer(question, text) == wanted
def child():
    if "ask" in how:
        assert qa.answer(question, text) == wanted
        assert qa.answer(question, text, budget="fast").text in text
    if "close" in how:
        qa.close()
threads = [threading.Thread(target=ask) for _ in range(2)]
for thread in threads:
    thread.start()
codes = []
for number in range(20):
    time.sleep(0.003 * (number % 5))
    if "multiprocessing" in how:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(20)
        codes.append(process.exitcode)
        if process.exitcode is None:
            process.kill()
    else:
        process = os.fork()
        if process == 0:
            child()
            sys.exit(0)
        until = time.monotonic() + 20
        while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
            time.sleep(0.01)
        codes.append(os.waitstatus_to_exitcode(ended[1]) if ended[0] else None)
        if not ended[0]:
            os.kill(process, 9)
going = False
for thread in threads:
    thread.join()
print(codes)
"""


@pytest.mark.parametrize(
    "how", ["os.fork", "os.fork, close", "os.fork, ask", "multiprocessing", "multiprocessing, ask, close"]
)
def test_a_child_forked_while_others_ask_ends(path, how):
    command = [sys.executable, "-c", _FORK_WHILE_ASKING, path, QUESTION, TEXT, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == str([0] * 20), done.stderr


def test_children_of_children_answer_though_answerers_were_closed_before(path):
    # OpenVINO keeps the threads of a model that is gone for the next one, and in a child there are none.
    code = f"""
import os, sys
from edge_qa import QuestionAnswerer
def open_and_close():
    for threads in (1, 2):
        with QuestionAnswerer.load({str(path)!r}, threads=threads) as qa:
            assert qa.answer({QUESTION!r}, {TEXT!r}) == wanted
kept = QuestionAnswerer.load({str(path)!r})
wanted = kept.answer({QUESTION!r}, {TEXT!r})
for depth in range(3):
    open_and_close()
    if child := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert kept.answer({QUESTION!r}, {TEXT!r}) == wanted
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_child_says_so_if_the_bundle_was_replaced_meanwhile(path, tmp_path):
    shutil.copytree(path, place := tmp_path / "bundle")
    code = f"""
import os, shutil
from edge_qa import QuestionAnswerer
from edge_qa.errors import BundleError
qa = QuestionAnswerer.load({str(place)!r})
shutil.rmtree({str(place)!r})
shutil.copytree({str(path.parent / "bundle-0-256")!r}, {str(place)!r})
if os.fork() == 0:
    try:
        qa.answer({QUESTION!r}, {TEXT!r})
    except BundleError as error:
        print(error)
    os._exit(os.EX_OK if print(flush=True) is None else 1)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "was replaced by another bundle meanwhile; load it again" in done.stdout, done.stderr


def test_a_bundle_that_lies_nowhere_answers_after_a_fork(path):
    code = f"""
import os, dataclasses, pathlib
from edge_qa.bundle.bundle import Bundle
from edge_qa import QuestionAnswerer
bundle = Bundle.load({str(path)!r})
changed = {{name: content.copy() for name, content in bundle.contents.items()}}
qa = QuestionAnswerer(dataclasses.replace(bundle, path=pathlib.Path({str(path / "nowhere")!r}), contents=changed))
wanted = qa.answer({QUESTION!r}, {TEXT!r})
if os.fork() == 0:
    os._exit(0 if qa.answer({QUESTION!r}, {TEXT!r}) == wanted else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr


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
