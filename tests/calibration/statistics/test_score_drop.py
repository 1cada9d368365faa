"""What is said of a verdict that rests on too little, or on what it judges."""

from types import SimpleNamespace

import pytest

from calibration.statistics.bootstrap import Drop
from calibration.statistics.score_drop import drop_in_words, is_conclusive, same_questions, too_few_questions
from edge_qa.evaluation.dataset import Dataset, Example


def dataset(*questions: str, context: str = "ada built it .") -> Dataset:
    examples = tuple(Example(f"{place}", question, context, ("ada",)) for place, question in enumerate(questions))
    return Dataset("data.json", "v1.1", "0" * 64, examples)


@pytest.mark.parametrize(
    ("evaluation", "asked", "said"),
    [
        (dataset("who ?", "when ?"), "01", "judged on the questions that chose it: the drop is optimistic"),
        (dataset("when ?", "why ?"), "0", "judged on the questions that chose it: the drop is optimistic"),
        (dataset("when ?", "why ?"), "01", "1 of the 2 questions that judged it chose it, too: the drop is optimistic"),
        (dataset("when ?", "why ?"), "1", None),
        (dataset("who ?", "when ?", context="of another text ."), "01", None),
    ],
)
def test_questions_that_chose_do_not_judge_unnoticed(evaluation, asked, said):
    """By what is asked about which text, whatever the ids and the files are called."""
    calibration = dataset("where ?", "who ?", "when ?")
    judged = SimpleNamespace(predictions=dict.fromkeys(asked, "ada"))
    assert list(same_questions(calibration, evaluation, judged, "it")) == ([] if said is None else [said])


def test_an_interval_wider_than_the_limit_asks_for_more_questions():
    said = "fast: the 95 % interval of the drop, -0.20 to 0.81, is wider than the 1 points allowed: give more questions"
    assert list(too_few_questions(Drop(0.3, -0.2, 0.81, 100), 1.0, "fast")) == [said]
    assert list(too_few_questions(Drop(0.3, -0.2, 0.79, 100), 1.0)) == []


def test_a_limit_of_nothing_is_no_reason_to_be_silent():
    said = "the 95 % interval of the drop, -7.50 to 7.50, is wider than the 0 points allowed: give more questions"
    assert list(too_few_questions(Drop(0.0, -7.5, 7.5, 40), 0.0)) == [said]


def test_what_is_surely_no_drop_needs_no_note():
    assert list(too_few_questions(Drop(-3.0, -5.5, -0.5, 40), 0.0)) == []


def test_a_verdict_is_conclusive_where_the_whole_interval_is_within_the_limit():
    assert is_conclusive(Drop(-3.0, -5.5, -0.5, 40), 0.0)
    assert not is_conclusive(Drop(0.3, -0.2, 0.81, 100), 0.8)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (0, "none of the 12 questions was scored differently, too few to draw from"),
        (1, "1 of the 12 questions was scored differently, too few to draw from"),
        (2, "2 of the 12 questions were scored differently, too few to draw from"),
    ],
)
def test_a_bound_in_the_place_of_an_interval_says_so(changed, said):
    notes = list(too_few_questions(Drop(0.0, -26.46, 26.46, 12, changed, True), 1.0))
    assert notes == [
        f"{said}: the interval is an exact binomial bound",
        "the 95 % interval of the drop, -26.46 to 26.46, is wider than the 1 points allowed: give more questions",
    ]


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (Drop(0.5, -0.1, 1.1, 100), "dropped by 0.50 points (95 % interval -0.10 to 1.10)"),
        (Drop(-1.81, -4.0, 0.25, 100), "rose by 1.81 points (95 % interval -0.25 to 4.00)"),
        (Drop(-0.004, -1.0, 1.5, 100), "did not change (95 % interval -1.00 to 1.50)"),
    ],
)
def test_a_gain_reads_as_one(drop, words):
    assert drop_in_words(drop, " points") == words
