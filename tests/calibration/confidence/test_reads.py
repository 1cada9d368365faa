"""Which questions are read: retrieved partners without an answer, or those that the data has."""

import json

import pytest

from calibration.confidence.reads import Read, halves, questions_of
from calibration.data.retrieved_negatives import PassageSearch
from edge_qa import read_dataset
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example

PASSAGES = (
    "The bridge of Ulm was built by Ada in 1911.",
    "The bridge of Jena was built of iron. Many bridges are.",
    "Who built it? The tower was built by Ada.",
    "Nothing of it here.",
)


def example(**changed) -> Example:
    values = {
        "id": "1",
        "question": "Who built the bridge of Ulm?",
        "context": PASSAGES[0],
        "answers": ("Ada",),
    }
    return Example(**(values | changed))


def test_the_best_passages_come_first():
    search = PassageSearch(PASSAGES)
    ranked = search.ranked("Who built the bridge of Ulm?").tolist()
    assert ranked[0] == 0
    assert sorted(ranked) == [0, 1, 2, 3]  # "of" stands in the last one
    assert search.ranked("Zebras?").tolist() == []


def test_negatives_hold_no_answer_and_are_not_the_passage_itself():
    search = PassageSearch((*PASSAGES, PASSAGES[1]))
    assert search.negatives(example(), 5) == [PASSAGES[1], PASSAGES[3]]
    # Normalised as the metric does: case, articles and punctuation are no difference, parts of words are.
    assert search.negatives(example(answers=("the IRON!",)), 1) != [PASSAGES[1]]
    assert PASSAGES[1] in search.negatives(example(answers=("ron",)), 5)


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return read_dataset(path)


def test_each_question_has_a_partner_without_an_answer(tmp_path):
    rows = [{"question": f"Who built the bridge number {n}?", "context": text} for n, text in enumerate(PASSAGES)]
    data = write(tmp_path / "data.jsonl", [row | {"answers": ["Ada"]} for row in rows])
    found = questions_of(data, 100, seed=0)
    assert sum(one.answerable for one in found) == 4
    partners = [one for one in found if not one.answerable]
    assert {one.context for one in partners} == {PASSAGES[1], PASSAGES[3]} - {""} or len(partners) >= 3
    assert all(one.context != one.example.context and "Ada" not in one.context for one in partners)
    # A question and its partner stay together: they are of one group.
    assert {one.group for one in partners} <= {one.group for one in found if one.answerable}
    assert len(questions_of(data, 5, seed=0)) <= 5


def test_questions_without_an_answer_need_no_partner(tmp_path):
    data = write(
        tmp_path / "data.jsonl",
        [
            {"question": "Who?", "context": PASSAGES[0], "answers": ["Ada"]},
            {"question": "When was Jena?", "context": PASSAGES[0], "answers": [], "is_impossible": True},
        ],
    )
    found = questions_of(data, 10, seed=0)
    assert sorted((one.answerable, one.context) for one in found) == [(False, PASSAGES[0]), (True, PASSAGES[0])]


def test_a_few_questions_without_an_answer_are_too_few(tmp_path):
    rows = [
        {
            "question": f"Who built the bridge number {n}?",
            "context": PASSAGES[n % 2],
            "answers": [["Ada", "iron"][n % 2]],
        }
        for n in range(20)
    ]
    rows.append({"question": "When was Jena?", "context": PASSAGES[1], "answers": [], "is_impossible": True})
    found = questions_of(write(tmp_path / "data.jsonl", rows), 100, seed=0)
    assert sum(one.answerable for one in found) == 20
    # The one that there is, and partners: of a question about Ulm the passage about Jena, and the other way round.
    without = [one for one in found if not one.answerable]
    assert len(without) > 15
    assert [one.context for one in without if one.example.is_impossible] == [PASSAGES[1]]


def reads(groups, *, right=True):
    return [one for group in range(groups) for one in (Read({}, True, right, group), Read({}, False, False, group))]


def test_a_passage_is_in_one_half():
    fitting, checking = halves(reads(9), seed=1, where="data")
    assert (len(fitting), len(checking)) == (8, 10)
    assert not {one.group for one in fitting} & {one.group for one in checking}


@pytest.mark.parametrize("given", [reads(1), reads(6, right=False), []])
def test_too_little_to_fit_is_refused(given):
    with pytest.raises(InputError, match="too few right answers"):
        halves(given, seed=0, where="data")
