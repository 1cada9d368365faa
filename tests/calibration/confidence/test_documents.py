"""How answers from documents are ranked and how sure they are, fitted by asking an index twice."""

import json

import numpy as np
import pytest

from calibration import ConfidenceOptions, calibrate_confidence
from calibration.confidence.documents import Asked, ask_twice, fit_closeness
from edge_qa import Bundle, DocumentIndex, QuestionAnswerer, read_dataset
from edge_qa.documents.ranking import DOCUMENT_SIGNS, Candidate
from edge_qa.errors import InputError
from edge_qa.progress import no_progress
from tests.support.command import Command
from tests.support.small_data import answers_of, write_questions
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def data(plain, tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("data") / "data.jsonl", answer=answers_of(plain))


@pytest.fixture(scope="module")
def fit(plain, data, tmp_path_factory):
    options = ConfidenceOptions(questions=60, documents=40, false_answers=0.2)
    return calibrate_confidence(plain, tmp_path_factory.mktemp("sure") / "bundle", data=data, options=options)


def test_the_manifest_has_it(plain, fit):
    assert Bundle.load(plain).manifest.documents is None
    record = Bundle.load(fit.path).manifest.documents
    assert record == fit.manifest.documents
    assert record.passages == 10
    assert 0.25 <= record.closeness <= 4
    confidence = record.confidence
    assert all(
        confidence.answer[name] * sign >= 0 >= confidence.none[name] * sign for name, sign in DOCUMENT_SIGNS.items()
    )
    assert 40 < confidence.questions <= 80
    assert fit.as_json()["documents"]["closeness"] == record.closeness


def test_nothing_goes_to_the_temporary_folder_of_the_system(plain, data, tmp_path, no_temporary_folder):
    options = ConfidenceOptions(questions=60, documents=40, false_answers=0.2)
    calibrate_confidence(plain, tmp_path / "bundle", data=data, options=options)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_answers_then_have_a_confidence(fit, data, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text(next(iter(read_dataset(data))).context)
    with QuestionAnswerer.load(fit.path) as qa, DocumentIndex.build([folder], tmp_path / "library.db") as index:
        (answer,) = qa.ask(index, "who built the bridge?", min_confidence=0)
        assert 0 <= answer.confidence <= 1


def test_each_question_is_asked_with_its_text_and_without(plain, data, tmp_path):
    questions = read_dataset(data)
    with QuestionAnswerer.load(plain) as qa:
        asked = ask_twice(qa, questions, tmp_path, 5, seed=0, progress=no_progress)
    # One of the five finds nothing: "when?".
    assert [one.with_text for one in asked] == [True, False] * 4
    for one in asked:
        if not one.with_text:
            assert all(candidate.passage.file.path != one.text for candidate in one.candidates)
        assert 0 < len(one.candidates) <= 10
    assert any(any(one.right) for one in asked)


def made_up(margin: float, closeness: float) -> Candidate:
    return Candidate(None, None, question_truncated=False, terms={"margin": margin, "closeness": closeness})


@pytest.mark.parametrize(("weight", "low", "high"), [(0.5, 0.35, 0.7), (2.0, 1.5, 2.7)])
def test_the_weight_of_closeness_is_found_again(weight, low, high):
    random = np.random.default_rng(0)
    asked = []
    for _ in range(600):
        terms = random.normal(size=(8, 2)) * 3
        chances = np.exp(terms @ [1.0, weight])
        right = random.choice(8, p=chances / chances.sum())
        asked.append(Asked(tuple(made_up(*row) for row in terms), tuple(n == right for n in range(8)), True, ""))
    assert low < fit_closeness(asked) < high


def test_without_anything_to_learn_from_the_weight_is_the_usual_one():
    assert fit_closeness([Asked((made_up(1, 1),), (True,), True, "")]) == 1.0


def test_questions_without_answers_cannot_fit_it(plain, tmp_path):
    data = write_questions(tmp_path / "none.jsonl")
    with QuestionAnswerer.load(plain) as qa, pytest.raises(InputError, match="no question with an answer"):
        ask_twice(qa, read_dataset(data), tmp_path, 5, seed=0, progress=no_progress)


def test_the_command_prints_it(plain, data, tmp_path, monkeypatch, capsys):
    command = Command(monkeypatch, capsys)
    arguments = ["calibrate-confidence", plain, tmp_path / "out", "--data", data, "--questions", "40"]
    done = command(*arguments, "--documents", "30", "--json")
    assert done.code == 0
    assert json.loads(done.out)["documents"]["passages"] == 10
    done = command(*arguments, "--documents", "30", "--force")
    assert "answers from documents, 10 passages a question: rank = margin + " in done.out
