"""Questions to an index: answers with the place that they stand at."""

import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import pytest

from edge_qa import CitedAnswer, DocumentIndex, InputError, QuestionAnswerer, verify_citation
from edge_qa.bundle.manifest import DOCUMENT_TERMS, ConfidenceRecord, DocumentsRecord, RiskLimit
from edge_qa.text.blocks import block_starts

ROOT = Path(__file__).resolve().parents[3]
QUESTION = "What is the monthly rent of the shop?"


@pytest.fixture(scope="module")
def qa():
    with QuestionAnswerer.load(ROOT / "examples" / "models" / "minilm-squad-small-int8") as answerer:
        yield answerer


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "lease.txt").write_text(
        "THE LEASE\n\nIt began in May. The monthly rent of the shop is 1,980 euros. Ask Ada."
    )
    (folder / "cats.md").write_text("# Cats\n\nThe cat of the shop is called Minka. She is nine years old.\n")
    return folder


@pytest.fixture
def index(folder, tmp_path):
    return DocumentIndex.build([folder], tmp_path / "library.db")


def test_an_answer_says_where_it_stands(qa, index, folder):
    (answer,) = qa.ask(index, QUESTION)
    text = (folder / "lease.txt").read_text()
    source = answer.source
    assert answer.text == "1,980 euros"
    assert text[answer.start : answer.end] == answer.text
    assert (source.start, source.end) == (answer.start, answer.end)
    assert text[slice(*source.passage)][source.passage_start : source.passage_end] == answer.text
    assert source.sentence == "The monthly rent of the shop is 1,980 euros."
    assert text[source.sentence_start :].startswith(source.sentence)
    assert (source.path, source.title, source.page) == (str(folder.resolve() / "lease.txt"), "lease", None)
    assert 0 < answer.score <= 1


def test_answers_come_best_first_and_none_twice(qa, index):
    answers = qa.ask(index, "What is the cat of the shop called?", top_k=5)
    assert answers[0].text == "Minka"
    assert [answer.rank for answer in answers] == sorted((answer.rank for answer in answers), reverse=True)
    assert len({answer.text for answer in answers}) == len(answers)
    places = sorted((answer.source.path, answer.start, answer.end) for answer in answers)
    assert all(one[0] != two[0] or one[2] <= two[1] for one, two in pairwise(places))
    assert {Path(answer.source.path).name for answer in answers} == {"cats.md", "lease.txt"}


def test_one_passage_may_be_all_that_is_read(qa, index):
    answers = qa.ask(index, "What is the cat of the shop called?", top_k=5, passages=1)
    assert {Path(answer.source.path).name for answer in answers} == {"cats.md"}


def test_nothing_that_fits_is_none(qa, index):
    assert qa.ask(index, "Xylophone quarks?", top_k=3) == [CitedAnswer("", 0.0, 0, 0)]


def test_no_answer_crosses_a_border_of_its_file(qa, tmp_path):
    folder = tmp_path / "kitchen"
    folder.mkdir()
    lines = [f"- item {number} of the list of the kitchen costs {number} euros" for number in range(60)]
    (folder / "list.txt").write_text("\n".join(lines))
    index = DocumentIndex.build([folder], tmp_path / "kitchen.db")
    borders = block_starts((folder / "list.txt").read_text()).tolist()
    assert len(borders) == 59
    for answer in qa.ask(index, "What do item 7 and item 8 of the list of the kitchen cost?", top_k=20):
        assert not any(answer.start < border < answer.end for border in borders)


def test_a_passage_without_tokens_is_no_error(qa, index, folder):
    (folder / "odd.txt").write_text("\u200b\u200b")
    index.update([folder])
    assert qa.ask(index, QUESTION)[0].text == "1,980 euros"


class TestConfidence:
    """Weights of the margin alone, so that the expected values can be worked out from `rank` and closeness."""

    WEIGHTS = dict.fromkeys(DOCUMENT_TERMS, 0.0) | {"constant": -8.0, "margin": 1.0}

    @pytest.fixture
    def sure(self, qa, monkeypatch):
        limit = RiskLimit(0.1, 0.5, 100, 0.9)
        none = dict.fromkeys(DOCUMENT_TERMS, 0.0) | {"constant": 8.0, "margin": -1.0}
        fitted = ConfidenceRecord(self.WEIGHTS, none, "data", "", 0, 100, 0.01, (), (), limit)
        monkeypatch.setattr(
            qa, "manifest", dataclasses.replace(qa.manifest, documents=DocumentsRecord(10, 2.0, fitted))
        )
        return qa

    def test_a_bundle_without_one_has_none(self, qa, index):
        assert qa.ask(index, QUESTION)[0].confidence is None
        assert qa.ask(index, QUESTION, min_confidence=0)[0].confidence is None
        with pytest.raises(InputError, match="no confidence for answers from documents"):
            qa.ask(index, QUESTION, min_confidence=0.1)

    def test_an_answer_has_it(self, sure, index):
        (answer,) = sure.ask(index, QUESTION)
        (passage,) = (one for one in index.search(QUESTION) if one.file.path == answer.source.path)
        margin = answer.rank - 2 * passage.closeness.score
        assert answer.confidence == pytest.approx(1 / (1 + math.exp(8 - margin)))
        assert answer.text == "1,980 euros"
        assert answer.confidence > 0.5

    def test_what_is_not_sure_enough_is_none(self, sure, index):
        question = "Who is the owner of the shop?"
        (unsure,) = sure.ask(index, question, min_confidence=0)
        assert unsure.text
        assert unsure.confidence < 0.5
        (none,) = sure.ask(index, question)  # at the limit of the bundle
        assert (none.text, none.source, none.score) == ("", None, 0.0)
        assert none.confidence == pytest.approx(1 - unsure.confidence)
        (again,) = sure.ask(index, question, min_confidence=unsure.confidence)
        assert again == unsure

    def test_nothing_found_is_none_for_sure(self, sure, index):
        assert sure.ask(index, "Xylophone quarks?") == [CitedAnswer("", 0.0, 0, 0, confidence=1.0)]

    @pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
    def test_what_is_no_confidence(self, sure, index, least):
        with pytest.raises(InputError, match="min_confidence: got"):
            sure.ask(index, QUESTION, min_confidence=least)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": " "}, "question is empty"),
        ({"question": 3}, "got int"),
        ({"top_k": 0}, "top_k: got 0"),
        ({"passages": 0}, "passages: got 0"),
        ({"max_answer_len": 0}, "max_answer_len: got 0"),
    ],
)
def test_what_is_refused(qa, index, arguments, message):
    with pytest.raises(InputError, match=message):
        qa.ask(index, **{"question": QUESTION, **arguments})


class TestVerification:
    @pytest.fixture
    def citation(self, qa, index):
        return dataclasses.asdict(qa.ask(index, QUESTION)[0])

    def test_an_unchanged_file(self, index, citation):
        check = verify_citation(index, citation)
        assert (check.verdict, check.start, check.holds) == ("holds", citation["start"], True)

    def test_a_file_that_still_says_it(self, index, citation, folder):
        path = folder / "lease.txt"
        path.write_text("A new first line.\n\n" + path.read_text().replace("rent of the", "rent of\n  the"))
        check = verify_citation(index, citation)
        assert check.verdict == "moved"
        assert path.read_text()[check.start : check.end] == "1,980 euros"
        assert check.start != citation["start"]

    def test_a_file_that_says_something_else(self, index, citation, folder):
        path = folder / "lease.txt"
        path.write_text(path.read_text().replace("rent of the shop is", "deposit is"))
        assert verify_citation(index, citation).verdict == "gone"

    def test_a_file_that_is_gone(self, index, citation, folder):
        (folder / "lease.txt").unlink()
        assert "not there any more" in verify_citation(index, citation).reason

    def test_a_file_that_became_unreadable(self, index, citation, folder):
        (folder / "lease.txt").write_bytes(b"\xff")
        assert "cannot be read" in verify_citation(index, citation).reason

    def test_only_files_of_the_index_are_opened(self, index, citation, tmp_path):
        other = tmp_path / "other.txt"
        other.write_text(citation["source"]["sentence"])
        citation["source"]["path"] = str(other)
        assert verify_citation(index, citation).reason == "the index does not hold this file"

    def test_wrong_offsets_are_found_out(self, index, citation):
        citation["source"]["start"] += 1
        citation["source"]["sentence_start"] += 1
        check = verify_citation(index, citation)
        assert (check.verdict, check.start) == ("moved", citation["start"])

    def test_a_sentence_that_the_file_never_said(self, index, citation):
        """The answer stands where it says, the file is the same, and what is quoted around it is made up."""
        source = citation["source"]
        citation["source"] = source | {
            "sentence": f"Nobody pays {citation['text']} for it.",
            "sentence_start": citation["start"] - len("Nobody pays "),
        }
        check = verify_citation(index, citation)
        assert (check.verdict, check.reason) == ("gone", "the file never said it")

    @pytest.mark.parametrize("source", ["x", {"start": "a"}, {"sentence_start": True}, {"path": 3}])
    def test_values_of_another_kind(self, index, citation, source):
        whole = source if isinstance(source, str) else citation["source"] | source
        with pytest.raises(InputError, match="citation: has values of another kind"):
            verify_citation(index, citation | {"source": whole})

    @pytest.mark.parametrize("change", [{"source": None}, {"source": {}}, {"text": "else"}, {"text": ""}, {"text": 3}])
    def test_what_is_no_citation(self, index, citation, change):
        with pytest.raises(InputError, match="citation: "):
            verify_citation(index, citation | change)
