"""The data set reader, and the official metrics against hand work and reference implementations."""

import json
from dataclasses import asdict

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example, read_dataset
from edge_qa.evaluation.squad_metric import (
    BestThreshold,
    QuestionScore,
    best_no_answer_threshold,
    exact_match,
    f1,
    normalize_answer,
    per_question,
    score,
)
from tests.support.places import GOLDEN_FILES, ROOT

SHARED = ROOT.parent / "shared" / "data"
GOLDEN = json.loads((GOLDEN_FILES / "squad_metric.json").read_text(encoding="ascii"))
BY_ID = {row["id"]: row for row in GOLDEN["questions"]}


def examples(**answers: list[str]) -> list[Example]:
    return [Example(id=key, question="?", context="", answers=tuple(golds)) for key, golds in answers.items()]


# The metrics, by hand


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Cat,\tsat.\n", "cat sat"),
        ("an A the", ""),
        ("theatre another", "theatre another"),
        ("a-b", "ab"),  # punctuation goes before articles, and joins what it parted
        ("“a” x", "“ ” x"),  # an article leaves a space
        ("U.S. $3,000.50", "us 300050"),
        ("“It’s” 1990–99", "“it’s” 1990–99"),  # other punctuation stays
        ("STRAẞE ÅNGSTRÖM", "straße ångström"),
        ("x\u00a0y\u3000z", "x y z"),
        ("", ""),
    ],
)
def test_normalize_answer(text, normalized):
    assert normalize_answer(text) == normalized


def test_exact_match_is_equality_once_normalised():
    assert exact_match("the Cat.", "cat")
    assert not exact_match("cat sat", "cat")


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("Denver Broncos", "the Denver Broncos!", 1.0),
        ("Denver", "Denver Broncos", 2 / 3),  # precision 1, recall 1/2
        ("x x y", "x z", 0.4),  # one x is common: precision 1/3, recall 1/2
        ("x x", "x x x", 0.8),  # two are: precision 1, recall 2/3
        ("Denver", "Carolina", 0.0),
        ("", "Denver", 0.0),
        ("the", "Denver", 0.0),
    ],
)
@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_f1_by_hand(prediction, gold, expected, version):
    assert f1(prediction, gold, version=version) == pytest.approx(expected, rel=1e-15)
    assert f1(gold, prediction, version=version) == pytest.approx(expected, rel=1e-15)


def test_f1_of_an_unknown_version_is_refused():
    with pytest.raises(InputError, match=r"metric version 'v1', wanted one of \('v1.1', 'v2.0'\)"):
        f1("Ada", "Ada", version="v1")


def test_two_empty_answers_agree_in_v2_only():
    assert f1("the", "...", version="v1.1") == 0.0
    assert f1("the", "...", version="v2.0") == 1.0
    assert exact_match("the", "...")


def test_best_gold_answer_counts_for_each_metric_on_its_own():
    scores = per_question(examples(q=["Denver Broncos", "Carolina", "x"]), {"q": "denver"}, version="v1.1")
    assert scores == {"q": QuestionScore(exact_match=0.0, f1=pytest.approx(2 / 3))}
    scores = per_question(examples(q=["Denver Broncos", "Denver"]), {"q": "denver"}, version="v1.1")
    assert scores == {"q": QuestionScore(exact_match=1.0, f1=1.0)}


def test_v2_drops_empty_golds_unless_all_are_empty():
    some_empty, all_empty = ["the", "Ada"], ["the", ""]
    data = examples(some=some_empty, all=all_empty, none=[])
    scores = per_question(data, dict.fromkeys(["some", "all", "none"], ""), version="v2.0")
    assert [scores[key].exact_match for key in scores] == [0.0, 1.0, 1.0]
    assert [scores[key].f1 for key in scores] == [0.0, 1.0, 1.0]
    assert per_question(data[:1], {"some": ""}, version="v1.1")["some"] == QuestionScore(1.0, 0.0)


def test_missing_prediction_scores_zero_and_counts():
    data = examples(a=["Ada"], b=["Ada"], c=["Ada"], d=["Ada Lovelace"])
    predictions = {"a": "Ada", "d": "Ada", "unknown": "Ada"}
    assert asdict(score(data, predictions, version="v1.1")) == {
        "exact_match": 25.0,
        "f1": pytest.approx(100 * (1 + 2 / 3) / 4),
        "questions": 4,
        "missing": 2,
        **dict.fromkeys(
            [f"{group}_{name}" for group in ("has_answer", "no_answer") for name in ("exact_match", "f1", "questions")]
        ),
    }
    assert list(per_question(data, predictions, version="v1.1")) == ["a", "b", "c", "d"]


def test_v2_tells_answerable_and_unanswerable_questions_apart():
    data = examples(a=["Ada Lovelace"], b=["Ada"], c=["Ada"], d=[], e=[])
    predictions = {"a": "Ada", "b": "Ada", "d": "Ada", "e": ""}
    assert asdict(score(data, predictions, version="v2.0")) == {
        "exact_match": 40.0,
        "f1": pytest.approx(100 * (2 / 3 + 1 + 1) / 5),
        "questions": 5,
        "missing": 1,
        "has_answer_exact_match": pytest.approx(100 / 3),
        "has_answer_f1": pytest.approx(100 * (2 / 3 + 1) / 3),
        "has_answer_questions": 3,
        "no_answer_exact_match": 50.0,
        "no_answer_f1": 50.0,
        "no_answer_questions": 2,
    }


def test_missing_prediction_of_an_unanswerable_question_is_no_right_answer():
    result = score(examples(a=[]), {}, version="v2.0")
    assert (result.exact_match, result.f1, result.missing, result.no_answer_f1) == (0.0, 0.0, 1, 0.0)
    assert (result.has_answer_f1, result.has_answer_questions) == (None, 0)


@pytest.mark.parametrize(
    ("data", "version", "message"),
    [
        ([], "v1.1", "no question to score"),
        (examples(a=["Ada"], b=[]), "v1.1", "'b' has no gold answer, v1.1 wants one"),
        (examples(a=["Ada"]) * 2, "v2.0", "'a' is given twice"),
        (examples(a=["Ada"]), "2.0", r"metric version '2.0', wanted one of \('v1.1', 'v2.0'\)"),
    ],
)
def test_what_has_no_score_is_refused(data, version, message):
    with pytest.raises(InputError, match=message):
        score(data, {"a": "Ada"}, version=version)


# The threshold: a and b have answers (b half right), n and m have none.
THRESHOLD_DATA = examples(a=["Ada"], b=["Ada Lovelace King"], n=[], m=[])
THRESHOLD_PREDICTIONS = {"a": "Ada", "b": "Ada", "n": "Ada", "m": ""}  # F1 of b: 2 * 1 * 1/3 / (4/3) = 1/2


@pytest.mark.parametrize(
    ("no_answer_scores", "metric", "threshold", "percent"),
    [
        # Answering nothing gives 2 of 4; answering a gives 3; b adds 0 or 1/2; n loses 1; m stays unanswered.
        ({"m": 0.1, "a": 0.2, "b": 0.3, "n": 0.9}, "exact_match", 0.2, 75.0),
        ({"n": 0.9, "b": 0.3, "a": 0.2, "m": 0.1}, "f1", 0.3, 87.5),
        # n first: 2 - 1 + 1 is no better than answering nothing, which is 0 by convention.
        ({"n": 0.1, "a": 0.2, "b": 0.3, "m": 0.4}, "exact_match", 0.0, 50.0),
        ({"n": 0.1, "a": 0.2, "b": 0.3, "m": 0.4}, "f1", 0.3, 62.5),
        # An id that no example has changes nothing.
        ({"a": -3.0, "z": -2.0, "n": -1.0, "b": 5.0, "m": 6.0}, "f1", -3.0, 75.0),
    ],
)
def test_best_threshold_by_hand(no_answer_scores, metric, threshold, percent):
    best = best_no_answer_threshold(THRESHOLD_DATA, THRESHOLD_PREDICTIONS, no_answer_scores, metric=metric)
    assert best == BestThreshold(threshold, percent)


@pytest.mark.parametrize("metric", ["exact_match", "f1"])
def test_best_threshold_when_applied_gives_its_score(metric):
    no_answer_scores = {"m": 0.1, "a": 0.2, "b": 0.3, "n": 0.9}
    best = best_no_answer_threshold(THRESHOLD_DATA, THRESHOLD_PREDICTIONS, no_answer_scores, metric=metric)
    applied = {
        key: "" if no_answer_scores[key] > best.threshold else text for key, text in THRESHOLD_PREDICTIONS.items()
    }
    assert getattr(score(THRESHOLD_DATA, applied, version="v2.0"), metric) == best.score


@pytest.mark.parametrize(
    ("data", "predictions", "no_answer_scores"),
    [
        ([], {}, {}),
        (examples(a=[]), {}, {"a": 0.5}),
        (examples(a=[]), {"a": ""}, {}),
        (examples(a=[]), {"a": ""}, {"a": float("nan")}),
        (examples(a=[]), {"a": ""}, {"a": float("inf")}),
    ],
)
def test_threshold_wants_a_prediction_and_a_finite_score_of_each_question(data, predictions, no_answer_scores):
    with pytest.raises(InputError, match=r"wanted at least one|wants both of every question"):
        best_no_answer_threshold(data, predictions, no_answer_scores, metric="f1")


# The metrics, against the references: equal to the last bit


@pytest.mark.parametrize("row", GOLDEN["questions"], ids=lambda row: row["id"])
def test_question_scores_as_the_references_score_it(row):
    prediction, answers = row["prediction"], row["answers"]
    assert normalize_answer(prediction) == row["normalized"]
    for version in ("v1.1", "v2.0"):
        assert [f1(prediction, gold, version=version) for gold in answers] == row["f1_by_answer"][version]
        if version in row:
            ours = per_question(examples(q=answers), {"q": prediction}, version=version)["q"]
            assert asdict(ours) == row[version]


@pytest.mark.parametrize("run", [run for run in GOLDEN["runs"] if run["version"] == "v1.1"])
def test_whole_set_scores_as_the_v1_reference_scores_it(run):
    data = [Example(key, "?", "", tuple(BY_ID[key]["answers"])) for key in run["ids"]]
    predictions = {key: BY_ID[key]["prediction"] for key in run["ids"] if key not in run["missing"]}
    ours = score(data, predictions, version="v1.1")
    assert {"exact_match": ours.exact_match, "f1": ours.f1} == run["expected"]
    assert (ours.questions, ours.missing) == (len(run["ids"]), len(run["missing"]))


@pytest.mark.parametrize("run", [run for run in GOLDEN["runs"] if run["version"] == "v2.0"])
def test_whole_set_scores_as_the_v2_reference_scores_it(run):
    data = [Example(key, "?", "", tuple(BY_ID[key]["answers"])) for key in run["ids"]]
    predictions = {key: BY_ID[key]["prediction"] for key in run["ids"]}
    ours = score(data, predictions, version="v2.0")
    found = {"exact": ours.exact_match, "f1": ours.f1, "total": ours.questions}
    if ours.has_answer_questions:  # the reference leaves an empty group out
        found["HasAns_exact"], found["HasAns_f1"] = ours.has_answer_exact_match, ours.has_answer_f1
        found["HasAns_total"] = ours.has_answer_questions
    if ours.no_answer_questions:
        found["NoAns_exact"], found["NoAns_f1"] = ours.no_answer_exact_match, ours.no_answer_f1
        found["NoAns_total"] = ours.no_answer_questions
    for metric, name in (("exact_match", "best_exact"), ("f1", "best_f1")):
        best = best_no_answer_threshold(data, predictions, run["no_answer_scores"], metric=metric)
        found[name], found[f"{name}_thresh"] = best.score, best.threshold
    assert found == run["expected"]


# The real files


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no SQuAD files in {SHARED}")
@pytest.mark.parametrize(
    ("name", "version", "questions", "impossible"),
    [("dev-v1.1.json.gz", "v1.1", 10_570, 0), ("dev-v2.0.json.gz", "v2.0", 11_873, 5_945)],
)
def test_official_dev_set_is_read_whole_and_its_gold_answers_score_100(name, version, questions, impossible):
    dataset = read_dataset(SHARED / name)
    assert (dataset.version, len(dataset)) == (version, questions)
    assert sum(example.is_impossible for example in dataset) == impossible
    first_golds = {example.id: next(iter(example.answers), "") for example in dataset}
    result = score(dataset, first_golds, version=dataset.version)
    assert (result.exact_match, result.f1, result.questions, result.missing) == (100.0, 100.0, questions, 0)
