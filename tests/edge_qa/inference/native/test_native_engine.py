"""Answering with the native engine: what is loaded, closed, forked, shared, and what happens where it cannot be."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from converters.native.bundle import pack_native
from converters.token_budgets.token_dropping import Keep
from edge_qa import QuestionAnswerer
from edge_qa.bundle.manifest import PACKED_MODEL
from edge_qa.errors import BundleError, InputError, ResourceError
from edge_qa.inference.native import library as native_library
from tests.support.asking import closed_while_asked
from tests.support.budgets import bundle_with_budgets
from tests.support.kernels import importable, install
from tests.support.tiny import tiny_bundle

QUESTION, TEXT = "who flew ?", "ada flew a pilot twice at noon"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the package edge_qa_kernels."""
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def kernels(installed, monkeypatch) -> Path:
    """Installed for the test alone."""
    with importable(installed, monkeypatch):
        yield installed


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def packed(plain, tmp_path_factory) -> Path:
    return pack_native(plain, tmp_path_factory.mktemp("packed") / "bundle").path


def logits(qa: QuestionAnswerer) -> np.ndarray:
    start, end = qa.engine.logits(list(qa.windows(QUESTION, TEXT)))
    return np.concatenate([*start, *end])


def test_auto_is_openvino_until_a_bundle_is_packed(plain, packed):
    assert QuestionAnswerer.load(plain).engine.name == "openvino"
    assert QuestionAnswerer.load(packed).engine.name == "native"
    assert QuestionAnswerer.load(packed, engine="openvino").engine.name == "openvino"
    assert QuestionAnswerer.load(packed, precision="bf16").engine.name == "openvino"


def test_logits_are_near_those_of_openvino(packed):
    native, other = QuestionAnswerer.load(packed), QuestionAnswerer.load(packed, engine="openvino")
    wanted = logits(other)
    assert np.abs(logits(native) - wanted).max() <= 0.1 * max(1, np.abs(wanted).max())


def test_padding_is_left_out(packed):
    engine = QuestionAnswerer.load(packed).engine
    ids = np.array([[1, 5, 6, 7, 2], [1, 5, 2, 0, 0]])
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    inputs["position_ids"] = np.broadcast_to(np.arange(5), (2, 5))
    start, end = engine.run(inputs)
    alone = engine.run({name: array[1:, :3] for name, array in inputs.items()})
    np.testing.assert_array_equal(start[1, :3], alone[0][0])
    np.testing.assert_array_equal(end[1, :3], alone[1][0])
    assert not start[1, 3:].any()


@pytest.mark.parametrize(("role", "value"), [("input_ids", 10**6), ("position_ids", 10**6), ("input_ids", -1)])
def test_inputs_out_of_range_are_refused(packed, role, value):
    engine = QuestionAnswerer.load(packed).engine
    inputs = engine.batch(list(QuestionAnswerer.load(packed).windows(QUESTION, TEXT)))
    inputs[role] = np.full_like(inputs[role], value)
    with pytest.raises(InputError, match=role):
        engine.run(inputs)


def test_openvino_is_not_imported(packed, kernels):
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from edge_qa import QuestionAnswerer\n"
        f"qa = QuestionAnswerer.load({str(packed)!r})\n"
        f"print(qa.answer({QUESTION!r}, {TEXT!r}).text != '', qa.engine.name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "native"]


def test_the_cache_is_filled_once(plain, tmp_path, monkeypatch, no_temporary_folder):
    first = QuestionAnswerer.load(plain, cache=tmp_path)
    assert first.engine.name == "native"
    (kept,) = tmp_path.glob("*.packed")
    written = kept.stat().st_mtime_ns
    monkeypatch.setattr("edge_qa.inference.engine_choice.pack", lambda folder: pytest.fail("packed again"))
    second = QuestionAnswerer.load(plain, cache=tmp_path)
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(logits(first), logits(second))


def test_a_damaged_cache_is_packed_again(plain, tmp_path, caplog):
    wanted = logits(QuestionAnswerer.load(plain, cache=tmp_path))
    (kept,) = tmp_path.glob("*.packed")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.unlink()  # what is mapped must not change
    kept.write_bytes(content)
    np.testing.assert_array_equal(logits(QuestionAnswerer.load(plain, cache=tmp_path)), wanted)
    assert "packed again" in caplog.text


def test_a_damaged_bundle_is_refused(packed, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in packed.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / PACKED_MODEL).read_bytes())
    content[-5000] ^= 1
    (copy / PACKED_MODEL).write_bytes(content)
    with pytest.raises(BundleError, match="sha256"):
        QuestionAnswerer.load(copy)


def test_native_packs_for_itself_where_it_must(plain):
    qa = QuestionAnswerer.load(plain, engine="native")
    assert qa.engine.name == "native"
    assert qa.answer(QUESTION, TEXT).text


def test_without_the_package_auto_is_as_before(packed, monkeypatch):
    monkeypatch.setattr("edge_qa.inference.engine_choice.this_library", lambda: None)
    assert QuestionAnswerer.load(packed).engine.name == "openvino"
    with pytest.raises(ResourceError, match=r"pip install \./kernels"):
        QuestionAnswerer.load(packed, engine="native")


def test_a_cap_below_all_paths_leaves_openvino(packed, monkeypatch):
    monkeypatch.setenv(native_library.CAP_VARIABLE, "none")
    assert QuestionAnswerer.load(packed).engine.name == "openvino"
    with pytest.raises(ResourceError, match="EDGE_QA_ISA"):
        QuestionAnswerer.load(packed, engine="native")


@pytest.mark.parametrize(
    "options", [{"engine": "fast"}, {"engine": "native", "precision": "bf16"}, {"engine": "native", "threads": 0}]
)
def test_what_makes_no_sense_is_refused(packed, options):
    with pytest.raises(InputError):
        QuestionAnswerer.load(packed, **options)


def test_budgets_share_the_model(plain, tmp_path):
    layers = QuestionAnswerer.load(plain).manifest.model.layers
    source = bundle_with_budgets(plain, tmp_path / "budgets", {"fast": Keep((0.5,) * layers)})
    qa = QuestionAnswerer.load(pack_native(source, tmp_path / "packed").path)
    text = " ".join([TEXT] * 12)
    full, fast = qa.answer(QUESTION, text), qa.answer(QUESTION, text, budget="fast")
    assert full.score != fast.score
    qa.close()
    with pytest.raises(InputError, match="closed"):
        qa.answer(QUESTION, text, budget="fast")


def test_many_threads_get_the_answers_of_one(packed):
    qa = QuestionAnswerer.load(packed)
    texts = [" ".join([TEXT] * (1 + number % 7)) for number in range(40)]
    wanted = [qa.answer(QUESTION, text) for text in texts]
    wrong = []

    def ask(first: int) -> None:
        for number in range(len(texts)):
            place = (first + number) % len(texts)
            if qa.answer(QUESTION, texts[place]) != wanted[place]:
                wrong.append(place)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_threads_that_ask_learn_that_it_was_closed(packed):
    told = closed_while_asked(QuestionAnswerer.load(packed), QUESTION, TEXT)
    assert len(told) == 6
    assert all("closed" in text for text in told)


def test_a_child_answers_while_the_parent_asks(packed, kernels):
    code = f"""
import os, sys, threading
from edge_qa import QuestionAnswerer
qa = QuestionAnswerer.load({str(packed)!r}, threads=3)
assert qa.engine.name == "native"
wanted = qa.answer({QUESTION!r}, {TEXT!r})
done = threading.Event()
def ask():
    while not done.is_set():
        assert qa.answer({QUESTION!r}, {TEXT!r}) == wanted
threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(10):
    child = os.fork()
    if not child:
        right = qa.answer({QUESTION!r}, {TEXT!r}) == wanted
        qa.close()
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
done.set()
for thread in threads: thread.join()
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "fine\n", done.stderr


def test_the_command_says_the_engine_to_use(packed, kernels):
    command = [sys.executable, "-m", "edge_qa", "ask", str(packed), QUESTION, "--text", TEXT, "--json", "--engine"]
    answers = {
        engine: subprocess.run([*command, engine], capture_output=True, text=True, check=True, env=os.environ).stdout
        for engine in ("auto", "native", "openvino")
    }
    assert answers["auto"] == answers["native"] != answers["openvino"]
