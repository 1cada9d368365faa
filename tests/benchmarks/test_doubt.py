"""Training data for doubt: what is called unanswerable does not say the answer, and answers stand where it is said."""

import numpy as np
import pytest

from benchmarks.experiments.doubt.changes import asked_wrong, laid_out, part_of, sentences, without_answer
from benchmarks.experiments.doubt.documents import documents
from benchmarks.experiments.doubt.fields import KINDS
from benchmarks.experiments.doubt.kinds.tables import TABLES
from edge_qa.evaluation.dataset import Example

PASSAGE = "Ada Brandt built the mill in 1911. It burnt down. In 1930 the town of Ulm sold the ruin. Nobody wept for it."


def example(question: str, answer: str, context: str = PASSAGE) -> Example:
    return Example("1", question, context, (answer,), "a", (context.index(answer),))


def test_sentences():
    assert [PASSAGE[begin:end] for begin, end in sentences(PASSAGE)] == [
        "Ada Brandt built the mill in 1911.",
        "It burnt down.",
        "In 1930 the town of Ulm sold the ruin.",
        "Nobody wept for it.",
    ]


def test_the_sentence_with_the_answer_goes():
    row = without_answer(example("Who built it?", "Ada Brandt"))
    assert row is not None
    assert row["context"] == "It burnt down. In 1930 the town of Ulm sold the ruin. Nobody wept for it."
    assert row["answers"] == []
    assert row["is_impossible"]


def test_an_answer_that_stands_elsewhere_too_makes_no_partner():
    assert without_answer(example("Who?", "Ada", "Ada built it. Many came. Then ada left. It rained.")) is None


def test_a_part_holds_the_answer_at_its_place():
    # Seven words, then ten: parts of at least five words are the first, and the second with the third.
    part = part_of(example("When was it sold?", "1930"), 5)
    assert part.context == "It burnt down. In 1930 the town of Ulm sold the ruin."
    assert part.starts == (18,)
    assert part_of(example("Across?", "1911. It"), 5).context == PASSAGE


def test_another_name_is_asked_for():
    asked = example("When did the town of Ulm sell it?", "1930")
    rows = [asked_wrong(asked, ["Jena", "Ada Brandt"], np.random.default_rng(seed)) for seed in range(5)]
    assert {row["question"] for row in rows if row} == {"When did the town of Jena sell it?"}


@pytest.mark.parametrize("seed", range(20))
def test_a_passage_laid_out_keeps_its_answer(seed):
    start = PASSAGE.index("1930")
    made = laid_out(PASSAGE, start, 4, np.random.default_rng(seed))
    assert made is not None
    text, place = made
    assert text[place : place + 4] == "1930"
    assert text.split().count("wept") == 1
    # Between two sentences, so that no sentence border is crossed.
    assert laid_out(PASSAGE, PASSAGE.index("1911"), 12, np.random.default_rng(seed)) is None


def test_answers_of_documents_stand_where_it_is_said():
    rows = list(documents(np.random.default_rng(0), 150, (3, 2)))
    answered = [row for row in rows if row["answers"]]
    assert 0.5 < len(answered) / len(rows) < 0.7
    for row in answered:
        (answer,) = row["answers"]
        start = answer["answer_start"]
        assert row["context"][start : start + len(answer["text"])] == answer["text"]
        assert answer["text"] not in ("-", "n/a")


def test_no_document_is_asked_the_same_with_and_without_an_answer():
    rows = list(documents(np.random.default_rng(1), 150, (20, 20)))
    with_answer = {(row["context"], row["question"].lower().rstrip("?")) for row in rows if row["answers"]}
    without = {(row["context"], row["question"].lower().rstrip("?")) for row in rows if not row["answers"]}
    assert not with_answer & without


def test_fields_of_a_kind_have_questions_of_their_own():
    for kind, fields in KINDS.items():
        questions = [question for field in fields for question in field.questions]
        assert len(questions) == len(set(questions)), kind
        assert all(sentence.count("{}") == 1 for field in fields for sentence in field.sentences), kind
    for _, _, columns in TABLES.values():
        assert all("{row}" in question for _, questions, _ in columns for question in questions)
