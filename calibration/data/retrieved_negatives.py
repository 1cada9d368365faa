"""Unanswerable partners of questions: the best passages by retrieval that hold no answer, as documents give them."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_qa.evaluation.dataset import Example
from edge_qa.evaluation.squad_metric import normalize_answer
from edge_qa.text.bm25 import bm25

_WORD = re.compile(r"\w+")
# Normalised passages that are kept: those of one question come up again for the next about the same matter.
_KEPT = 4_096


class PassageSearch:
    """BM25 over the words of passages; see `edge_qa/text/bm25.py`."""

    def __init__(self, passages: Sequence[str]) -> None:
        self.passages = tuple(dict.fromkeys(passages))
        vocabulary: dict[str, int] = {}
        words = [
            np.array([vocabulary.setdefault(word, len(vocabulary)) for word in _words(passage)], np.int64)
            for passage in self.passages
        ]
        self._vocabulary = vocabulary
        self._lengths = np.array([len(each) for each in words], np.int64)
        # By word, then by passage: where it stands, and how often.
        count = len(self.passages)
        where = np.repeat(np.arange(count), self._lengths)
        pairs, self._counts = np.unique(np.concatenate([*words, _NONE]) * count + where, return_counts=True)
        self._places = pairs % count
        self._begins = np.searchsorted(pairs, np.arange(len(vocabulary) + 1) * count)

    def ranked(self, question: str) -> NDArray[np.int64]:
        """Return the places of the passages that share a word with the question, best first."""
        known = {self._vocabulary[word] for word in _words(question) if word in self._vocabulary}
        frequencies = np.zeros((len(self.passages), len(known)))
        for column, word in enumerate(sorted(known)):
            stretch = slice(self._begins[word], self._begins[word + 1])
            frequencies[self._places[stretch], column] = self._counts[stretch]
        scores = bm25(frequencies, self._lengths)
        order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
        return order[: int((scores > 0).sum())]

    def negatives(self, example: Example, count: int) -> list[str]:
        """Return up to `count` passages, the likeliest first, that hold none of the example's answers.

        Never its own passage: what stands there may answer in words that are not listed.
        """
        answers = [f" {normalize_answer(answer)} " for answer in example.answers]
        found: list[str] = []
        for place in self.ranked(example.question).tolist():
            passage = self.passages[place]
            if passage != example.context and not any(answer in _normalized(passage) for answer in answers):
                found.append(passage)
                if len(found) == count:
                    break
        return found


_NONE = np.empty(0, np.int64)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@lru_cache(_KEPT)
def _normalized(passage: str) -> str:
    return f" {normalize_answer(passage)} "
