"""The benchmark of questions over documents: what counts as found, right, false and kept."""

import dataclasses
import json

import pytest

from benchmarks.documents.open_book import Outcome, Score, curve, of_squad, outcome
from benchmarks.documents.questions import Asked
from benchmarks.documents.results import Measurement, store
from docs.generate.figures import REQUIRED
from edge_qa import DocumentIndex, QuestionAnswerer
from edge_qa.bundle.manifest import DOCUMENT_TERMS, ConfidenceRecord, DocumentsRecord, RiskLimit
from tests.conftest import ROOT

# Long enough to stand in an index without the name of its field.
RENT = "The monthly rent of the shop is 1,980 euros. " + "Nothing else was said about it on that day. " * 5
CAT = "The cat of the shop is called Minka. " + "She sleeps by day and walks about by night. " * 5
ASKED = Asked("What is the monthly rent of the shop?", ("1,980 euros",), paragraph=RENT)


def record(limit: float) -> DocumentsRecord:
    weights = dict.fromkeys(DOCUMENT_TERMS, 0.0)
    return DocumentsRecord(
        10, 1.0, ConfidenceRecord(weights, weights, "d", "", 0, 2, 0.01, (), (), RiskLimit(0.1, limit, 9, 0.5))
    )


@pytest.fixture(scope="module")
def qa():
    with QuestionAnswerer.load(ROOT / "examples" / "models" / "minilm-squad-small-int8") as answerer:
        answerer.manifest = dataclasses.replace(answerer.manifest, documents=record(0.4))
        yield answerer


def test_a_question_is_asked_with_its_paragraph_and_without(qa, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    lines = [json.dumps({"title": name, "text": text}) for name, text in (("Rent", RENT), ("Cat", CAT))]
    (folder / "records.jsonl").write_text("\n".join(lines))
    with DocumentIndex.build([folder], tmp_path / "library.db") as index:
        found = outcome(qa, index, ASKED)
    assert found.held == dict.fromkeys((1, 3, 5, 10, 20), True)
    assert found.scores[10] == Score(100.0, 100.0)
    assert found.wrong_places == 0
    assert found.with_text == (0.5, Score(100.0, 100.0))  # all weights are 0
    assert found.without is not None
    assert found.without[1].exact == 0


def made_up(with_text: float, without: float, *, f1: float, f1_without: float = 0.0) -> Outcome:
    sizes = (1, 3, 5, 10, 20)
    scores = {size: Score(0.0, f1) for size in sizes}
    held = {size: size >= 3 for size in sizes}
    return Outcome(ASKED, held, scores, 0, (with_text, Score(0.0, f1)), (without, Score(0.0, f1_without)))


def test_the_curve_counts_what_was_found():
    rows = curve([made_up(0.9, 0.1, f1=100.0), made_up(0.9, 0.1, f1=50.0)], (1, 3))
    assert rows == [["2", "1", "0.0 %", "0.0", "75.0"], ["2", "3", "100.0 %", "0.0", "75.0"]]


def test_false_answers_and_what_is_kept_at_the_limit(qa):
    found = [
        made_up(0.9, 0.5, f1=100.0),  # kept; answered wrong without its paragraph
        made_up(0.3, 0.1, f1=100.0),  # not kept
        made_up(0.9, 0.6, f1=10.0, f1_without=80.0),  # wrong; right from another paragraph
        made_up(0.2, 0.1, f1=0.0),
    ]
    _, out = of_squad(found, qa, "command")
    assert out.rows[0] == ["limit of the bundle", "0.400", "50.0 %", "25.0 %", "50.0 %"]


def test_a_measurement_replaces_the_one_of_its_title(tmp_path):
    path = tmp_path / "results.json"
    one = Measurement("One", "what", ("a",), [["1"]], "command")
    store([one, Measurement("Two", "what", ("a",), [["1"]], "command")], path)
    store([dataclasses.replace(one, rows=[["2"]])], path)
    first, second = json.loads(path.read_text())["measurements"]
    assert (first["rows"], second["rows"]) == ([["2"]], [["1"]])
    assert set(REQUIRED) <= set(first)
