"""Which questions are asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_qa.dataset import Example, read_dataset
from edge_qa.errors import InputError

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
    return Sample(dataset.name, dataset.sha256, len(answerable), tuple(spread(answerable, limit)))


def spread(items: Sequence[_T], limit: int) -> list[_T]:
    """Return `limit` items, evenly spaced, the first and the last among them; all if there are no more."""
    if limit >= len(items):
        return list(items)
    if limit == 1:
        return [items[0]]
    return [items[round(place * (len(items) - 1) / (limit - 1))] for place in range(limit)]
