"""EdgeQAReader in real pipelines of Haystack."""

import os

import pytest

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # before it is imported
pytest.importorskip("haystack", reason="the extra haystack is not installed")

from haystack import Document, ExtractedAnswer, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from edge_qa import QuestionAnswerer
from edge_qa.errors import BundleError, InputError
from edge_qa.integrations.haystack import EdgeQAReader
from tests.conftest import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
HARBOUR = Document(content="The harbour has a lighthouse. It was lit in 1871 by Marta Lind.", meta={"page_number": 4})
BRIDGE = Document(content="The bridge over the river was opened in 1900.")
BAKERY = Document(content="The bakery sells bread and cakes.\fIt closes at noon.", meta={"page_number": 7})
DOCUMENTS = [BAKERY, BRIDGE, HARBOUR]


@pytest.fixture(scope="module")
def reader() -> EdgeQAReader:
    return EdgeQAReader(str(BUNDLE))


def test_answers_stand_where_their_offsets_say_best_first(reader):
    answers = reader.run("When was the lighthouse lit?", DOCUMENTS, top_k=4)["answers"]
    assert len(answers) == 4
    assert (answers[0].data, answers[0].document) == ("1871", HARBOUR)
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)
    for answer in answers:
        assert isinstance(answer, ExtractedAnswer)
        assert answer.query == "When was the lighthouse lit?"
        place, inside = answer.document_offset, answer.context_offset
        assert answer.document.content[place.start : place.end] == answer.data
        assert answer.context[inside.start : inside.end] == answer.data
        assert 0 < answer.score < 1
    assert answers[0].context == "It was lit in 1871 by Marta Lind."
    taken = [(answer.document.id, answer.document_offset.start, answer.document_offset.end) for answer in answers]
    assert not any(
        one[0] == other[0] and one[1] < other[2] and other[1] < one[2]
        for number, one in enumerate(taken)
        for other in taken[:number]
    )


def test_one_document_gives_what_the_answerer_gives(reader):
    alone = QuestionAnswerer.load(BUNDLE).answer("When was the bridge opened?", BRIDGE.content)
    (answer,) = reader.run("When was the bridge opened?", [BRIDGE], top_k=1)["answers"]
    assert (answer.data, answer.document_offset.start, answer.document_offset.end) == (
        alone.text,
        alone.start,
        alone.end,
    )


def test_the_score_is_the_logistic_function_of_margin_and_weighted_retrieval():
    liked = Document(content=BRIDGE.content, score=2.0)
    plain = EdgeQAReader(BUNDLE).run("When was it opened?", [liked], top_k=1)["answers"][0]
    weighted = EdgeQAReader(BUNDLE, retriever_weight=0.5).run("When was it opened?", [liked], top_k=1)["answers"][0]
    margin = plain.meta["margin"]
    assert plain.score == pytest.approx(1 / (1 + 2.718281828459045**-margin))
    assert weighted.meta["margin"] == margin
    assert weighted.score == pytest.approx(1 / (1 + 2.718281828459045 ** -(margin + 1)))


def test_the_weight_of_the_retriever_decides_between_equal_documents():
    low, high = (Document(content=BRIDGE.content, score=score, meta={"n": score}) for score in (1.0, 9.0))
    answers = EdgeQAReader(BUNDLE, retriever_weight=1.0).run("When was it opened?", [low, high])["answers"]
    assert answers[0].document == high


def test_the_page_is_counted_from_the_document_s_own(reader):
    (answer,) = reader.run("When does it close?", [BAKERY], top_k=1)["answers"]
    assert (answer.data, answer.meta["answer_page_number"]) == ("noon", 8)
    (answer,) = reader.run("When was it opened?", [BRIDGE], top_k=1)["answers"]
    assert "answer_page_number" not in answer.meta


def test_none_where_no_answer_passes_and_nothing_for_no_documents():
    strict = EdgeQAReader(BUNDLE, no_answer_threshold=-1000.0)
    (none,) = strict.run("When was the lighthouse lit?", DOCUMENTS)["answers"]
    assert (none.data, none.document, none.document_offset) == (None, None, None)
    best = EdgeQAReader(BUNDLE).run("When was the lighthouse lit?", DOCUMENTS, top_k=1)["answers"][0]
    assert none.score == pytest.approx(1 - best.score)
    assert strict.run("When was the lighthouse lit?", [])["answers"] == []


def test_documents_that_cannot_be_read_are_passed_over(reader, caplog):
    bad = [Document(content=None), Document(content=" \n"), Document(content="a\ud800b", id="broken")]
    answers = reader.run("When was the bridge opened?", [*bad, BRIDGE], top_k=1)["answers"]
    assert answers[0].data == "1900"
    said = [record.getMessage() for record in caplog.records if record.name == "edge_qa.integrations.haystack"]
    assert len(said) == 3
    assert any("document broken" in line and "surrogate" in line for line in said)


@pytest.mark.parametrize("query", ["", "  ", "a\ud800"])
def test_a_query_that_cannot_be_asked_is_an_error(reader, query):
    with pytest.raises(InputError, match="question"):
        reader.run(query, DOCUMENTS)


@pytest.mark.parametrize(
    ("options", "where"),
    [({"top_k": 0}, "top_k"), ({"retriever_weight": float("nan")}, "retriever_weight")],
)
def test_options_that_are_none_are_refused_before_anything_is_read(options, where):
    with pytest.raises(InputError, match=where):
        EdgeQAReader("nowhere", **options)
    with pytest.raises(InputError, match="top_k"):
        EdgeQAReader("nowhere").run("Who?", [BRIDGE], top_k=-1)


def test_least_confidence_needs_a_bundle_that_has_one():
    with pytest.raises(InputError, match="min_confidence: this bundle has no confidence"):
        EdgeQAReader(BUNDLE, min_confidence=0.5).run("When?", [BRIDGE])


def test_a_missing_bundle_is_an_error_of_warm_up_alone():
    reader = EdgeQAReader("nowhere")
    with pytest.raises(BundleError, match="nowhere"):
        reader.warm_up()


def test_the_bundle_is_loaded_once_and_again_after_close(monkeypatch):
    loads = []
    load = QuestionAnswerer.load
    monkeypatch.setattr(QuestionAnswerer, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    reader = EdgeQAReader(BUNDLE)
    reader.warm_up()
    reader.warm_up()
    reader.run("When was it opened?", [BRIDGE])
    assert len(loads) == 1
    reader.close()
    assert reader.run("When was it opened?", [BRIDGE])["answers"][0].data == "1900"
    assert len(loads) == 2


def pipeline(reader: EdgeQAReader) -> Pipeline:
    store = InMemoryDocumentStore()
    store.write_documents(DOCUMENTS)
    made = Pipeline()
    made.add_component("retriever", InMemoryBM25Retriever(store, top_k=2))
    made.add_component("reader", reader)
    made.connect("retriever.documents", "reader.documents")
    return made


def test_a_pipeline_answers_and_is_the_same_after_it_was_saved():
    question = "When was the lighthouse lit?"
    made = pipeline(EdgeQAReader(BUNDLE, top_k=2, retriever_weight=0.8, no_answer_threshold=5.0, threads=1))
    found = made.run({"retriever": {"query": question}, "reader": {"query": question}})["reader"]["answers"]
    assert (found[0].data, found[0].document.content) == ("1871", HARBOUR.content)
    saved = made.dumps()
    try:
        again = Pipeline.loads(saved, allowed_modules=["edge_qa.integrations.*"])
    except TypeError:  # Haystack 2 loads any module
        again = Pipeline.loads(saved)
    assert again.get_component("reader").to_dict() == made.get_component("reader").to_dict()
    more = again.run({"retriever": {"query": question}, "reader": {"query": question}})["reader"]["answers"]
    assert [answer.to_dict() for answer in more] == [answer.to_dict() for answer in found]


def test_what_is_connected_wrongly_is_refused_by_its_types():
    made = pipeline(EdgeQAReader(BUNDLE))
    made.add_component("second", EdgeQAReader(BUNDLE))
    with pytest.raises(Exception, match=r"not compatible|types"):
        made.connect("reader.answers", "second.documents")
