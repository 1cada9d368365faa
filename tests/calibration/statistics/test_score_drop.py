"""What is said of a verdict that rests on too little, or on what it judges."""

from types import SimpleNamespace

import pytest

from calibration.statistics.bootstrap import Drop
from calibration.statistics.score_drop import same_questions, too_few_questions
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
    assert list(too_few_questions(Drop(0.0, -0.1, 0.1, 100), 0.0)) == []
