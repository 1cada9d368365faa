"""A contender's process, and the loop around a bare model that its users write."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.side_by_side.workers import RIVALS, Worker, WorkerError


@pytest.fixture
def worker(fp16_bundle):
    """Our own runtime, as a contender."""
    job = {"bundle": str(fp16_bundle), "threads": 1, "precision": "f32", "budget": None, "cache": None}
    with Worker(Path(sys.executable), "edge_qa_bundle.py", job, threads=1) as found:
        yield found


def test_a_contender_answers_over_its_pipe(worker):
    assert worker.wait_until_loaded()["loaded"] > 0
    context = "Ada Lovelace\u2028wrote it in 1843, and “Bernoulli” was counted."
    seconds, text = worker.answer("Who wrote it?", context)
    assert 0 < seconds < 10
    assert text == "Ada Lovelace"
    seconds, texts = worker.answer_many([("When was it written?", context), ("Who wrote it?", context)])
    assert texts == ["1843", "Ada Lovelace"]
    assert 50e6 < worker.peak_bytes() < 2e9
    # What cannot be asked is one line, and the next question is answered all the same.
    with pytest.raises(WorkerError, match="InputError: question is empty"):
        worker.answer("", context)
    with pytest.raises(WorkerError, match="got the request 'dance'"):
        worker.request({"do": "dance"})
    assert worker.answer("When was it written?", context)[1] == "1843"
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(WorkerError, match="killed by signal 9"):
        worker.answer("Who?", context)
    worker.close()
    with pytest.raises(WorkerError, match="ended before"):
        worker.peak_bytes()


def test_a_contender_that_cannot_load_says_why(tmp_path):
    job = {"bundle": str(tmp_path / "no-bundle"), "threads": 1, "precision": "f32", "budget": None, "cache": None}
    with (
        Worker(Path(sys.executable), "edge_qa_bundle.py", job, threads=1) as worker,
        pytest.raises(WorkerError, match=r"BundleError: .*no-bundle"),
    ):
        worker.wait_until_loaded()


def test_what_a_library_prints_does_not_reach_the_protocol(tmp_path):
    script = tmp_path / "noisy.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(RIVALS)!r})\n"
        "from protocol import serve\n"
        "class Noisy:\n"
        "    def __init__(self, job): print('hello'); __import__('os').system('echo from a child')\n"
        "    def answer(self, question, context): print('working'); self.seconds = 0.25; return question\n"
        "serve(Noisy)\n"
    )
    with Worker(Path(sys.executable), str(script), {}, threads=1) as worker:
        worker.wait_until_loaded()
        assert worker.answer("Who?", "") == (0.25, "Who?")


@pytest.fixture(scope="module")
def squad_loop():
    spec = importlib.util.spec_from_file_location("squad_loop", RIVALS / "squad_loop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTEXT = "abcdef"


def window(first):
    """[CLS] q [SEP] and three tokens of one letter each, from place `first` of the context, then [SEP]."""
    offsets = [(0, 0), (0, 1), (0, 0), *((first + place, first + place + 1) for place in range(3)), (0, 0)]
    return SimpleNamespace(
        ids=[1, 5, 2, 7, 8, 9, 2],
        attention_mask=[1] * 7,
        type_ids=[0, 0, 0, 1, 1, 1, 1],
        offsets=offsets,
        sequence_ids=[None, 0, None, 1, 1, 1, None],
    )


def test_the_best_span_over_all_windows_lies_in_the_context(squad_loop):
    windows = [window(0), window(3)]
    start, end = np.zeros((2, 7), np.float32), np.zeros((2, 7), np.float32)
    start[0, 0] = end[0, 0] = 9  # [CLS] is no answer
    start[0, 5], end[0, 3] = 5, 5  # the end before the start is none
    start[1, 3], end[1, 4] = 3, 4  # 7 in all: "d" to "e"
    assert squad_loop.best_text(CONTEXT, windows, start, end) == "de"


def test_windows_are_padded_to_the_longest(squad_loop):
    short = window(0)
    short.ids, short.attention_mask, short.type_ids = [1, 2], [1, 1], [0, 1]
    arrays = squad_loop.SquadLoop(None, None).batch([short, window(0)])
    assert arrays["input_ids"].tolist() == [[1, 2, 0, 0, 0, 0, 0], [1, 5, 2, 7, 8, 9, 2]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0], [1] * 7]
    assert arrays["token_type_ids"].dtype == np.int64


def test_one_question_runs_window_by_window(squad_loop):
    shapes = []

    def logits(arrays):
        shapes.append(arrays["input_ids"].shape)
        scores = np.zeros(arrays["input_ids"].shape, np.float32)
        scores[:, 4] = len(shapes)
        return scores, scores

    short = window(3)
    for name in ("ids", "attention_mask", "type_ids", "offsets", "sequence_ids"):
        setattr(short, name, getattr(short, name)[:6])
    loop = squad_loop.SquadLoop(lambda question, context: [window(0), short], logits)
    assert loop.answer("q", CONTEXT) == "e"
    assert shapes == [(1, 7), (1, 6)]


def test_in_bulk_every_question_gets_its_own_windows(squad_loop):
    def logits(arrays):
        assert len(arrays["input_ids"]) <= squad_loop.BATCH
        scores = np.zeros(arrays["input_ids"].shape, np.float32)
        scores[:, 3] = 1  # every window answers with its first letter
        return scores, scores

    loop = squad_loop.SquadLoop(lambda question, context: [window(int(question))], logits)
    pairs = [(str(number % 3), CONTEXT) for number in range(11)]
    assert loop.answer_many(pairs) == [CONTEXT[number % 3] for number in range(11)]
    assert loop.answer_many(pairs) == [loop.answer(*pair) for pair in pairs]


def test_candidates_are_compared_by_the_words_that_they_share(monkeypatch):
    monkeypatch.syspath_prepend(str(RIVALS))
    from make_onnx import shared_words

    # Alike but for case; one of two words against one: 2/3; nothing shared; nothing at all on both sides.
    assert shared_words(["Ada", "old london", "a", ""], ["ada", "London", "b", ""]) == pytest.approx(
        (1 + 2 / 3 + 0 + 1) / 4
    )
