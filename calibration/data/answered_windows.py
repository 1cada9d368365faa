"""Data set -> windows that hold an answer, with the tokens where it stands: what a loss can be computed on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example
from edge_qa.text.windows import Window

Spans = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AnsweredWindow:
    """A window, and every place in it where a gold answer stands: its first and last token, (places, 2)."""

    window: Window
    spans: Spans


def draw_answered(
    answerer: QuestionAnswerer,
    examples: Sequence[Example],
    count: int,
    *,
    seed: int = 0,
    where: str | os.PathLike[str] = "calibration data",
) -> list[AnsweredWindow]:
    """Return up to `count` windows of as many questions, drawn at random; those without their answer are passed over.

    Raises InputError if no question can be used; `where` names the data in it.
    """
    if count < 1:
        raise InputError(f"got {count}", where="samples", wanted="at least 1")
    if all(example.is_impossible for example in examples):
        raise InputError(
            "no question has an answer, and importance is measured with the loss of the answers",
            where=where,
            remedy="give a SQuAD file with answers",
        )
    random = np.random.default_rng(seed)
    drawn: list[AnsweredWindow] = []
    for index in random.permutation(len(examples)):
        example = examples[index]
        if example.is_impossible:
            continue
        places = answer_places(example)
        try:
            windows = list(answerer.windows(example.question, example.context)) if places else []
        except InputError:
            continue
        answered = [AnsweredWindow(window, spans) for window in windows if len(spans := token_spans(window, places))]
        if answered:
            drawn.append(answered[random.integers(len(answered))])
        if len(drawn) == count:
            break
    if not drawn:
        raise InputError(
            f"no answer stands in the text of its question ({len(examples)} questions)",
            where=where,
            remedy="check the file",
        )
    return drawn


def answer_places(example: Example) -> list[tuple[int, int]]:
    """Return where the gold answers stand in the context, code points, each place once and in order.

    White space at the ends of an answer is no part of it.
    """
    places = set()
    for answer in filter(None, map(str.strip, example.answers)):
        start = example.context.find(answer)
        while start >= 0:
            places.add((start, start + len(answer)))
            start = example.context.find(answer, start + 1)
    return sorted(places)


def told_places(example: Example) -> list[tuple[int, int]]:
    """Return where the file says that the answers stand, without white space at their ends; of texts not there, none.

    The text of an answer often stands in its passage more than once, and only one place is meant.
    """
    places = []
    for answer, start in zip(example.answers, example.starts, strict=False):
        text = answer.strip()
        if start >= 0 and text and example.context[start : start + len(answer)] == answer:
            first = start + answer.index(text)
            places.append((first, first + len(text)))
    return places


def token_spans(window: Window, places: Sequence[tuple[int, int]]) -> Spans:
    """Return the first and last token of each place that the window holds whole, (places, 2).

    Places that begin and end where tokens do go first: "in" is not meant where it is a part of
    "Finland". Only if there are none, those count that lie within tokens.
    """
    offsets = window.offsets
    begins, ends = offsets[:, 0], offsets[:, 1]
    exact: list[tuple[int, int]] = []
    within: list[tuple[int, int]] = []
    for start, end in places:
        firsts = np.flatnonzero((begins <= start) & (start < ends))
        lasts = np.flatnonzero((begins < end) & (end <= ends))
        if len(firsts) and len(lasts) and firsts[0] <= lasts[-1]:
            first, last = int(firsts[0]), int(lasts[-1])
            whole = begins[first] == start and ends[last] == end
            (exact if whole else within).append((window.first + first, window.first + last))
    return np.array(sorted(set(exact or within)), np.int64).reshape(-1, 2)
