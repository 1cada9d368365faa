"""Rank the windows of a long context by the words they share with the question, before the model sees any.

BM25 (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework") over token ids: rare
tokens of the question count most, repeated ones less and less.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edge_qa.text.windows import Window

# The usual constants; windows are of one length but for the last, so length normalisation does little.
_K1, _B = 1.2, 0.75


@dataclass(frozen=True)
class Shortlist:
    """windows: those that rank highest, in the order of the text; count: how many; ranked: out of how many.

    complete: whether these were all windows.
    """

    windows: Iterator[Window]
    count: int
    ranked: int
    complete: bool


def shortlisted(
    windows: Iterator[Window], again: Iterator[Window], count: int, *, is_late: Callable[[], bool] = lambda: False
) -> Shortlist:
    """Return the `count` windows that rank highest.

    windows, again: the same windows twice; they are read once to rank and once to yield, so that
    none needs to be kept. is_late: looked at before each but the first; once it is true only those seen are ranked.
    """
    frequencies, lengths = [], []
    asked: np.ndarray | None = None
    complete = True
    for window in windows:
        if asked is not None and is_late():
            complete = False
            break
        if asked is None:
            asked = np.unique(window.input_ids[: window.first])
        inside = window.input_ids[window.first : window.first + window.context_tokens]
        # (question tokens,): how often each stands in this window.
        frequencies.append((asked[:, None] == inside).sum(axis=1))
        lengths.append(len(inside))
    scores = bm25(np.array(frequencies), np.array(lengths))
    # A stable sort: of equals the earlier window.
    best = set(np.argsort(-scores, kind="stable")[:count].tolist())
    return Shortlist(_those_at(best, again), len(best), len(scores), complete)


def _those_at(places: set[int], windows: Iterator[Window]) -> Iterator[Window]:
    """Yield the windows at some places; what comes after the last of them is not read."""
    last = max(places)
    for place, window in enumerate(windows):
        if place in places:
            yield window
        if place == last:
            return


def bm25(frequencies: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the score of each window, (windows,).

    frequencies: how often each question token stands in each window, (windows, question tokens).
    lengths: tokens of each window, (windows,).
    """
    holding = (frequencies > 0).sum(axis=0)
    rarity = np.log1p((len(lengths) - holding + 0.5) / (holding + 0.5))
    size = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.mean()))
    weights: np.ndarray = (frequencies * (_K1 + 1) / (frequencies + size[:, None])) @ rarity
    return weights
