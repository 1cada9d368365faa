"""Which questions are asked."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example, read_dataset

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sample:
    """Answerable questions of a data set, spread evenly over it; nobody here was trained to say "none"."""

    name: str
    sha256: str
    of: int
    examples: tuple[Example, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(question, context) of each."""
        return [(example.question, example.context) for example in self.examples]


def read_sample(path: Path, limit: int) -> Sample:
    """Return at most `limit` answerable questions. Raises InputError."""
    if limit < 1:
        raise InputError(f"--limit: got {limit}, wanted at least 1")
    dataset = read_dataset(path)
    answerable = [example for example in dataset if example.answers]
    if not answerable:
        raise InputError(f"{path}: no question has an answer to score by; give data with answers")
    for example in answerable:
        if not example.question.strip() or not example.context.strip():
            raise InputError(f"{path}: question {example.id}: question or text is blank; take it out")
    return answerable_sample(dataset, limit)


def answerable_sample(dataset: Dataset, limit: int) -> Sample:
    """Return at most `limit` of the answerable questions, spread over the data."""
    answerable = [example for example in dataset if example.answers]
    return Sample(dataset.name, dataset.sha256, len(answerable), tuple(round_the_passages(spread(answerable, limit))))


def round_the_passages(examples: Sequence[Example]) -> list[Example]:
    """Return them with one question of each passage after the other, then the second ones, and so on.

    Edge QA remembers the tokens of a few passages; so it has forgotten one when that is asked about again, unless
    there are only a few passages in all, and its times are those of a text that is new.
    """
    before: dict[str, int] = defaultdict(int)
    places = []
    for example in examples:
        places.append(before[example.context])
        before[example.context] += 1
    return [examples[index] for index in sorted(range(len(examples)), key=places.__getitem__)]


def by_passages(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Return every second passage with its questions, and the others: to calibrate on the one and ask the other."""
    number = {context: place for place, context in enumerate(dict.fromkeys(one.context for one in dataset))}

    def half(part: int, words: str) -> Dataset:
        examples = tuple(example for example in dataset if number[example.context] % 2 == part)
        return replace(dataset, name=f"{dataset.name} ({words})", examples=examples)

    return half(1, "every second passage"), half(0, "the other passages")


def spread(items: Sequence[_T], limit: int) -> list[_T]:
    """Return `limit` items, evenly spaced, the first and the last among them; all if there are no more."""
    if limit >= len(items):
        return list(items)
    if limit == 1:
        return [items[0]]
    return [items[round(place * (len(items) - 1) / (limit - 1))] for place in range(limit)]
