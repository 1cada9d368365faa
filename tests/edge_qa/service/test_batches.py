"""What a worker does with a batch: budgets, deadlines, and one request's trouble that is nobody else's."""

import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa.bundle.manifest import ConfidenceRecord
from edge_qa.errors import InferenceError
from edge_qa.inference.native.library import this_library
from edge_qa.service.workers.answering import Answering, BatchWatch, LateError, runs_of
from edge_qa.service.workers.messages import Answers, Ask, Batch, How, Problem, Questions
from tests.support.service import SMALL_BUNDLE, changed_bundle

CONFIDENCE = ConfidenceRecord(
    answer={"constant": -1.0, "margin": 0.5, "lead": 0.25, "length": -0.5},
    none={"constant": 1.0, "margin": -0.5, "lead": 0.0, "length": 0.0},
    dataset="d",
    dataset_sha256="0" * 64,
    seed=0,
    questions=1,
    expected_calibration_error=0.0,
    reliability=(),
    levels=(),
    limit=None,
)
CONTEXT = "The lighthouse was lit in 1871. Its keeper was Ada Lovelace."


@pytest.fixture(scope="module")
def answerer() -> QuestionAnswerer:
    return QuestionAnswerer.load(SMALL_BUNDLE, engine="openvino")


def request(*pairs: tuple[str, str], deadline_s: float = 3600, **how) -> Questions:
    return Questions(list(pairs), How(**how), time.monotonic() + deadline_s)


def run(answerer: QuestionAnswerer, *requests: Questions | Ask) -> list:
    return Answering(answerer, None, 512).run(Batch(7, list(requests))).results


def windows(*tokens: int) -> list:
    return [SimpleNamespace(tokens=count) for count in tokens]


def test_windows_run_together_up_to_the_budget_and_at_least_one_the_short_ones_first():
    assert list(runs_of([5, 3, 12, 4, 1, 9], 10)) == [[4, 1, 3], [0], [5], [2]]  # 1 + 3 + 4, 5, 9, 12 tokens
    assert list(runs_of([4, 3, 4], None)) == [[1], [0], [2]]
    assert list(runs_of([], 10)) == []


def test_an_engine_with_a_budget_keeps_the_order_counts_and_stops_at_the_deadline():
    class Engine:
        def logits(self, windows: Sequence, *, batch_size: int = 1):
            assert batch_size == len(windows)
            rows = [np.full(window.tokens, window.tokens, np.float32) for window in windows]
            return rows, rows

    watch = BatchWatch(10)
    engine = watch.engine(Engine())
    start, _ = engine.logits(windows(6, 3, 8))
    assert [len(row) for row in start] == [6, 3, 8]
    assert (watch.tokens, watch.ran) == (17, 3)
    watch.deadline = time.monotonic() - 1
    with pytest.raises(LateError):
        engine.logits(windows(1))


def test_each_request_of_a_batch_gets_its_own(answerer):
    good, blank = ("When was it lit?", CONTEXT), ("When was it lit?", "\x00")
    results = run(
        answerer,
        request(good),
        request(good, blank),
        request(good, top_k=2),
        request(good, deadline_s=-1),
        request(good, min_confidence=0.5),
        Ask("who?", 1, None, None, None, None, None, time.monotonic() + 9),
    )
    assert isinstance(results[0], Answers)
    assert results[0].answers[0][0].text == "1871"
    assert (results[1].kind, results[1].item) == ("unusable", 1)
    assert len(results[2].answers[0]) == 2
    assert results[3].kind == "late"
    assert (results[4].kind, results[4].item) == ("unusable", 0)
    assert (results[5].kind, results[5].message) == ("unusable", "this service has no documents")


def test_a_request_that_the_model_fails_on_fails_alone(answerer, monkeypatch):
    inner = answerer.engine.logits

    def logits(windows: Sequence, *, batch_size: int = 1):
        if any(window.tokens > 100 for window in windows):
            raise InferenceError("the model gave a logit that is not a finite number")
        return inner(windows, batch_size=batch_size)

    monkeypatch.setattr(answerer.engine, "logits", logits)
    results = run(answerer, request(("When was it lit?", CONTEXT)), request(("When?", CONTEXT * 20)))
    assert results[0].answers[0][0].text == "1871"
    assert results[1] == Problem("internal", "the model gave a logit that is not a finite number")


@pytest.mark.parametrize("engine", ["openvino", "native"])
def test_confidence_looks_at_passages_as_it_does_one_by_one(tmp_path, engine):
    library = this_library()
    if engine == "native" and (library is None or library.best_path() is None):
        pytest.skip("edge-qa-kernels is not installed, or this CPU cannot run it")
    bundle = changed_bundle(tmp_path / "sure", confidence=CONFIDENCE)
    # A passage of its own, in a text of three windows.
    text = "\n\n".join(["The mill by the river was built of stone. " * 30, CONTEXT * 4, "Nothing is here. " * 60])
    pairs = [("When was it lit?", text), ("Who was the keeper?", CONTEXT), ("What is by the river?", text)]
    with QuestionAnswerer.load(bundle, engine=engine) as alone:
        results = run(alone, *(request(pair, top_k=2) for pair in pairs), request(*pairs, min_confidence=0.05))
        want = [[alone.answer(*pair, top_k=2)] for pair in pairs]
        want.append([[alone.answer(*pair, min_confidence=0.05)] for pair in pairs])
        found = [[[_fields(one) for one in answers] for answers in result.answers] for result in results]
    assert found == [[[_fields(one) for one in answers] for answers in several] for several in want]
    assert all(0 < answers[0][0]["confidence"] < 1 for answers in found)


def _fields(answer) -> dict:
    names = ("text", "score", "start", "end", "question_truncated", "confidence")
    return {name: getattr(answer, name) for name in names}
