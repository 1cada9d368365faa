"""Questions -> what a bundle answers to them, right and wrong, with an answer in what it reads and without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.data.retrieved_negatives import PassageSearch
from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example
from edge_qa.evaluation.squad_metric import f1
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.confidence import evidence
from edge_qa.inference.spans import Selection
from edge_qa.progress import Progress
from edge_qa.text.windows import Window

# An answer is right if it has this much in common with one of those given, as the official F1 counts.
RIGHT_F1 = 0.5
# One question in so many must be without an answer for the data to need no partners.
_ENOUGH = 10


@dataclass(frozen=True)
class Question:
    """A question to be read once. group: questions of one group are never parted; what stands in one passage."""

    example: Example
    context: str
    group: int
    answerable: bool


@dataclass(frozen=True)
class Read:
    """What came of a question: the evidence for its best answer, and whether that is right."""

    terms: dict[str, float]
    answerable: bool
    right: bool
    group: int


def questions_of(data: Dataset, count: int, *, seed: int) -> list[Question]:
    """Return up to `count` questions, drawn at random, some with an answer in their passage and some without.

    Where a tenth of the questions or more have no answer, these are they. Otherwise each question with one comes
    twice, once with its passage and once with one of the best that retrieval gives for it and that hold no answer.
    """
    examples = [example for example in data if example.question.strip() and example.context.strip()]
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    groups: dict[str, int] = {}
    for example in examples:
        groups.setdefault(example.context, len(groups))
    if sum(example.is_impossible for example in examples) * _ENOUGH >= len(examples):
        drawn = [examples[place] for place in order[:count]]
        return [Question(one, one.context, groups[one.context], not one.is_impossible) for one in drawn]
    search = PassageSearch([example.context for example in examples])
    found: list[Question] = []
    for place in order:
        if len(found) + 1 >= count:
            break
        example = examples[place]
        found.append(Question(example, example.context, groups[example.context], not example.is_impossible))
        for passage in [] if example.is_impossible else search.negatives(example, 1):
            found.append(Question(example, passage, groups[example.context], answerable=False))
    return found


def read(answerer: QuestionAnswerer, questions: Sequence[Question], progress: Progress) -> list[Read]:
    """Ask every question of its passage. One whose text cannot be read is passed over."""

    def windows(question: Question) -> Iterator[Window]:
        return answerer.windows(question.example.question, question.context, within="block")

    def closer(question: Question, selection: Selection) -> Iterator[CloserLook]:
        return answerer.closer_looks(selection, question.example.question, question.context, within="block")

    found = []
    outcomes = answerer.outcomes(questions, windows, prompt=False, rivals=True, closer=closer)
    for done, outcome in enumerate(outcomes, 1):
        progress("read", done, len(questions))
        if outcome.error is not None or not outcome.spans().spans:
            continue
        question, (span, *_) = outcome.item, outcome.spans().spans
        text = question.context[span.start : span.end]
        right = question.answerable and any(
            f1(text, answer, version="v1.1") >= RIGHT_F1 for answer in question.example.answers
        )
        found.append(Read(evidence(span), question.answerable, right, question.group))
    return found


def halves(reads: Sequence[Read], *, seed: int, where: str) -> tuple[list[Read], list[Read]]:
    """Part the reads by their passages: a half to fit, and the rest to check the fit.

    Raises InputError if a half would lack right or wrong answers.
    """
    groups = np.unique(np.array([one.group for one in reads], np.int64))
    chosen = set(np.random.default_rng(seed).permutation(groups)[: len(groups) // 2].tolist())
    parts = [one for one in reads if one.group in chosen], [one for one in reads if one.group not in chosen]
    for part in parts:
        if not any(one.right for one in part) or not any(not one.answerable for one in part):
            raise InputError(
                f"{len(reads)} questions give too few right answers and too few without an answer",
                where=where,
                wanted="questions with answers about several passages",
                remedy="give more",
            )
    return parts
