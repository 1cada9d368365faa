"""BM25 against hand arithmetic."""

import math

import numpy as np
import pytest

from edge_qa.text.bm25 import bm25, shortlisted
from edge_qa.text.windows import Window


def test_a_score_by_hand():
    # Two windows of 4 tokens; the first token of the question stands in both, the second twice in one.
    scores = bm25(np.array([[1, 0], [1, 2]]), np.array([4, 4]))
    common = math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
    rare = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    once, twice = 1 * 2.2 / (1 + 1.2), 2 * 2.2 / (2 + 1.2)
    assert scores == pytest.approx([common * once, common * once + rare * twice])


def windows(*contexts: list[int]):
    for start, context in enumerate(contexts):
        ids = np.array([101, 7, 8, 102, *context, 102])
        yield Window(ids, ids, 4, start, np.zeros((len(context), 2), np.int64))


def test_the_best_windows_come_in_the_order_of_the_text():
    texts = ([1, 7, 2], [1, 2, 3], [7, 8, 8], [5, 8, 5])
    ranked = [[w.context_start for w in shortlisted(windows(*texts), windows(*texts), n).windows] for n in (1, 4, 9)]
    assert ranked == [[2], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_of_equals_the_earlier_window_stays():
    texts = ([7], [7], [7], [1])
    assert [w.context_start for w in shortlisted(windows(*texts), windows(*texts), 2).windows] == [0, 1]


def test_what_comes_after_the_last_chosen_window_is_not_read_again():
    texts = ([1], [7], [1], [1])
    again = windows(*texts)
    assert [w.context_start for w in shortlisted(windows(*texts), again, 1).windows] == [1]
    assert next(again).context_start == 2


def test_when_it_is_late_only_what_was_seen_is_ranked():
    texts = ([1], [7], [7, 8, 8], [7, 8, 8])
    looks = iter([False, True])  # looked at before the second and the third window
    found = shortlisted(windows(*texts), windows(*texts), 1, is_late=lambda: next(looks))
    assert [w.context_start for w in found.windows] == [1]
    assert (found.count, found.ranked, found.complete) == (1, 2, False)
    at_least_one = shortlisted(windows(*texts), windows(*texts), 2, is_late=lambda: True)
    assert [w.context_start for w in at_least_one.windows] == [0]
