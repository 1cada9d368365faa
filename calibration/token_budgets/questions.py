"""The questions of a budget search: tokenized once, answered once by the full model, then by every budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example, Version
from edge_qa.evaluation.segmentation import Segmentation
from edge_qa.evaluation.squad_metric import normalize_answer, per_question
from edge_qa.inference.batching import LogitsSource, select_many
from edge_qa.progress import Progress, no_progress
from edge_qa.text.windows import Window

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions in the order in which they are asked, with the F1 of the full model on each, 0..1.

    labelled: the answers to score by are the file's; otherwise they are the full model's own.
    cut: the windows of each question.
    """

    answerer: QuestionAnswerer
    version: Version
    labelled: bool
    examples: tuple[Example, ...]
    cut: tuple[tuple[Window, ...], ...]
    full: Scores
    segmentation: Segmentation = "squad"

    def __len__(self) -> int:
        return len(self.examples)

    def f1(self, engine: LogitsSource, first: int, end: int) -> Scores:
        """Ask an engine the questions from `first` up to `end`; return the F1 of each, 0..1, (questions,)."""
        longest = self.answerer.defaults.max_answer_len
        asked = range(first, min(end, len(self)))
        outcomes = select_many(engine, asked, lambda place: iter(self.cut[place]), max_answer_len=longest, batch_size=1)
        scores = []
        for outcome in outcomes:
            example = self.examples[outcome.item]
            answer = self.answerer.answers(outcome.spans(), example.context, top_k=1)[0]
            scores.append(f1_of(example, answer.text, self.version, self.segmentation))
        return np.array(scores)

    def windows(self, count: int) -> list[Window]:
        """Return up to `count` windows spread evenly over the lengths of all, the shortest first."""
        every = sorted((window for windows in self.cut for window in windows), key=lambda window: window.tokens)
        # The middles of equal parts, so that neither end counts for more than it is.
        places = ((np.arange(count) + 0.5) * len(every) / count).astype(int)
        return [every[place] for place in np.unique(places)]


def draw_questions(
    answerer: QuestionAnswerer,
    data: Dataset,
    places: Sequence[int],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Questions:
    """Prepare the examples at `places`, in a random order, and let the full model answer them.

    Examples that cannot be asked or scored are passed over. Raises InputError if none is left.
    """
    labelled = any(example.answers for example in data.examples)
    version: Version = data.version if labelled else "v1.1"
    examples, cut, full = [], [], []
    order = np.random.default_rng(seed).permutation(np.asarray(places, np.int64)).tolist()
    for number, place in enumerate(order, 1):
        progress("answer with the full model", number, len(order))
        example = data.examples[place]
        if labelled and not data.can_score(example):
            continue
        try:
            windows = tuple(answerer.windows(example.question, example.context))
        except InputError:
            continue
        (outcome,) = answerer.outcomes([windows], iter, batch_size=1)
        answer = answerer.answers(outcome.spans(), example.context, top_k=1)[0].text
        if not labelled:
            if not normalize_answer(answer, data.segmentation):
                continue  # such as "the": it scores nothing, even against itself
            example = replace(example, answers=(answer,))
        examples.append(example)
        cut.append(windows)
        full.append(f1_of(example, answer, version, data.segmentation))
    if not examples:
        raise InputError(
            f"{len(data)} questions are too few to fit probes on some and to search with others",
            where=data.where,
            remedy="add some",
        )
    return Questions(answerer, version, labelled, tuple(examples), tuple(cut), np.array(full), data.segmentation)


def f1_of(example: Example, answer: str, version: Version, segmentation: Segmentation = "squad") -> float:
    """Return the official F1 of one answer, 0..1."""
    scores = per_question([example], {example.id: answer}, version=version, segmentation=segmentation)
    return scores[example.id].f1
