"""Answers over HTTP: those of the answerer to the last bit, in the forms that clients know."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from edge_qa import DocumentIndex, QuestionAnswerer
from edge_qa.inference.native.library import this_library
from tests.support.service import SMALL_BUNDLE, Service, running

CONTEXT = "The lighthouse was lit in 1871. Its keeper was Ada Lovelace, who lived in the tower for thirty years."
_QUESTIONS = ("When was it lit?", "Who was the keeper?", "Where did she live?", "How long did she live there?")
_WORDS = CONTEXT.replace(".", "").split()


@pytest.fixture(scope="module")
def serial() -> QuestionAnswerer:
    return QuestionAnswerer.load(SMALL_BUNDLE, engine="openvino")


def mixed_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Questions with texts of 3 to 300 words, so that windows of many lengths meet."""
    draw = random.Random(seed)
    lengths = [int(3 * 100 ** draw.random()) for _ in range(count)]
    return [(draw.choice(_QUESTIONS), " ".join(draw.choices(_WORDS, k=length)) + ".") for length in lengths]


def expected(answer) -> dict:
    fields = asdict(answer)
    names = ("score", "start", "end", "confidence", "question_truncated")
    return {"answer": fields["text"]} | {name: fields[name] for name in names}


def test_answers_equal_those_asked_one_by_one_whatever_they_meet_in_a_batch(service: Service, serial):
    pairs = mixed_pairs(60, seed=1)
    with ThreadPoolExecutor(12) as clients:
        replies = list(clients.map(lambda pair: service.ask(*pair), pairs))
    assert [reply.json for reply in replies] == [expected(serial.answer(*pair)) for pair in pairs]
    # Some of them met in a batch.
    assert service.metric("edge_qa_batch_requests_sum") > service.metric("edge_qa_batch_requests_count")
    assert {reply.headers["edge-qa-bundle"] for reply in replies} == {serial.manifest.digest}


def test_the_native_engine_answers_alike_in_shared_batches():
    library = this_library()
    if library is None or library.best_path() is None:
        pytest.skip("edge-qa-kernels is not installed, or this CPU cannot run it")
    pairs = mixed_pairs(60, seed=2)
    with (
        running(SMALL_BUNDLE, "--engine", "native", "--max-batch-tokens", 1500) as native,
        QuestionAnswerer.load(SMALL_BUNDLE, engine="native") as alone,
        ThreadPoolExecutor(20) as clients,
    ):
        replies = list(clients.map(lambda pair: native.ask(*pair), pairs))
        assert [reply.json for reply in replies] == [expected(alone.answer(*pair)) for pair in pairs]
        # That there were batches to differ in.
        assert native.metric("edge_qa_batch_requests_count") < 55


def test_several_inputs_give_a_list_and_top_k_a_list_of_each(service: Service, serial):
    inputs = [{"question": question, "context": CONTEXT} for question in _QUESTIONS[:2]]
    reply = service.post("/v1/question-answering", {"inputs": inputs})
    assert [answer["answer"] for answer in reply.json] == ["1871", "Ada Lovelace"]
    best = service.post("/v1/question-answering", {"inputs": inputs, "parameters": {"top_k": 3}}).json
    assert best == [[expected(a) for a in serial.answer(q, CONTEXT, top_k=3)] for q in _QUESTIONS[:2]]
    assert service.ask(_QUESTIONS[0], CONTEXT, top_k=2).json == best[0][:2]


def test_parameters_do_what_those_of_the_answerer_do(service: Service, serial):
    asked = ("Who painted the ceiling?", CONTEXT)
    for given, same in [
        ({"max_answer_len": 1}, {"max_answer_len": 1}),
        ({"handle_impossible_answer": True}, {"no_answer_threshold": 0.0}),
        ({"no_answer_threshold": -20.5}, {"no_answer_threshold": -20.5}),
        ({"max_question_len": 2, "within": "text"}, {"max_question_len": 2, "within": "text"}),
    ]:
        assert service.ask(*asked, **given).json == expected(serial.answer(*asked, **same)), given
    assert service.ask(*asked, no_answer_threshold=-20.5).json["answer"] == ""
    assert service.ask(*asked, max_question_len=2).json["question_truncated"] is True
    # An old pipeline's windows: what only fits into several of them is found still.
    long = "Nothing to see here. " * 30 + CONTEXT
    assert service.ask("When was it lit?", long, max_seq_len=64, doc_stride=16).json["answer"] == "1871"


def test_documents_are_asked_with_citations(service: Service, serial, library):
    reply = service.post("/v1/ask", {"question": "Who built the mill, and who kept the lighthouse?", "top_k": 2})
    assert reply.status == 200
    best, second = reply.json["answers"]
    assert {best["answer"], second["answer"]} == {"John Carter", "Ada Lovelace"}
    with DocumentIndex.open(library) as index:
        want = [
            asdict(answer) for answer in serial.ask(index, "Who built the mill, and who kept the lighthouse?", top_k=2)
        ]
    assert [answer["score"] for answer in (best, second)] == [answer["score"] for answer in want]
    assert best["source"] == want[0]["source"] | {"passage": list(want[0]["source"]["passage"])}
    nothing = service.post("/v1/ask", {"question": "Xylophone zeitgeist?"}).json["answers"]
    assert nothing == [
        {"answer": "", "score": 0.0, "start": 0, "end": 0, "question_truncated": False}
        | {"rank": None, "confidence": None, "source": None}
    ]
    assert best["confidence"] is want[0]["confidence"] is None  # this bundle has none
    refused = service.post("/v1/ask", {"question": "Who?", "min_confidence": 0.5})
    assert refused.status == 422
    assert "no confidence" in refused.json["error"]


def test_the_service_says_what_it_is(service: Service, serial):
    info = service.get("/info").json
    assert info["digest"] == serial.manifest.digest
    assert (info["engine"], info["document_files"], info["max_body_bytes"]) == ("openvino", 2, 200_000)
    assert service.get("/health").json == {"status": "ok"}
    service.ask("When?", CONTEXT)
    before = service.metric("edge_qa_tokens_total")
    service.ask("When?", CONTEXT)
    tokens = sum(window.tokens for window in serial.windows("When?", CONTEXT))
    assert service.metric("edge_qa_tokens_total") - before == tokens


def test_the_client_of_hugging_face_gets_answers(service: Service, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    client = hub.InferenceClient(model=f"http://127.0.0.1:{service.port}/v1/question-answering")
    answer = client.question_answering(question="Who was the keeper?", context=CONTEXT)
    assert (answer.answer, CONTEXT[answer.start : answer.end]) == ("Ada Lovelace", "Ada Lovelace")
    best = client.question_answering(question="Who was the keeper?", context=CONTEXT, top_k=2)
    assert best[0].answer == "Ada Lovelace"
