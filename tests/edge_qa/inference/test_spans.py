"""Span selection against hand arithmetic and against an exhaustive search."""

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_qa.errors import InferenceError
from edge_qa.inference.spans import SpanSelector, closer, select_spans
from edge_qa.text.windows import Window


def window(first: int, context_start: int, context_tokens: int, after: int = 1) -> Window:
    ids = np.zeros(first + context_tokens + after, np.int64)
    return Window(ids, ids, first, context_start, offsets(99)[context_start : context_start + context_tokens])


def offsets(count: int) -> np.ndarray:
    """Tokens of two characters with a space between them."""
    return np.stack([3 * np.arange(count), 3 * np.arange(count) + 2], axis=1)


def placed(places: np.ndarray) -> Window:
    """A window of [CLS] and context tokens that stand at these offsets."""
    ids = np.zeros(1 + len(places), np.int64)
    return Window(ids, ids, 1, 0, places)


def logits(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_best_span_and_its_probability_by_hand():
    # [CLS] q [SEP] a b c [SEP]: the question's and the separator's high logits must not count.
    start = logits(0, 9, 9, 1, 3, 0, 9)
    end = logits(1, 9, 9, 0, 1, 2, 9)
    selection = select_spans([start], [end], [window(3, 0, 3)])
    (span,) = selection.spans
    assert (span.start, span.end) == (3, 8)  # b to c
    assert span.logit == 5
    z_start = sum(math.exp(v) for v in (0, 1, 3, 0))
    z_end = sum(math.exp(v) for v in (1, 0, 1, 2))
    assert span.score == pytest.approx(math.exp(3) / z_start * math.exp(2) / z_end)
    assert selection.null_logit == 1
    assert selection.null_score == pytest.approx(1 / z_start * math.exp(1) / z_end)
    assert selection.null_margin == -4


def test_an_answer_does_not_end_before_it_starts():
    selection = select_spans([logits(0, 0, 0, 5)], [logits(0, 0, 9, 1)], [window(2, 0, 2, after=0)])
    assert (selection.spans[0].start, selection.spans[0].end) == (0, 2)  # 0 + 9, not the 5 + 9 that runs backwards


def test_an_answer_is_no_longer_than_asked():
    start, end = logits(0, 9, 0, 0, 1), logits(0, 0, 0, 1, 9)
    spans = [select_spans([start], [end], [window(1, 0, 4, after=0)], max_answer_len=n).spans[0] for n in (4, 3)]
    assert [(s.start, s.end) for s in spans] == [(0, 11), (0, 8)]


def test_windows_compare_by_logit_and_share_one_softmax():
    # The same two tokens stand in both windows; the second window is surer of the second token.
    first = (logits(0, 1, 0), logits(0, 2, 0))
    second = (logits(-1, 0, 4), logits(-1, 0, 3))
    windows = [window(1, 0, 2, after=0), window(1, 0, 2, after=0)]
    selection = select_spans([first[0], second[0]], [first[1], second[1]], windows)
    assert (selection.spans[0].start, selection.spans[0].logit) == (3, 7)
    # Each token once, with its best logit; [CLS] from the window where it is least.
    z_start = math.exp(-1) + math.exp(1) + math.exp(4)
    z_end = math.exp(-1) + math.exp(2) + math.exp(3)
    assert selection.spans[0].score == pytest.approx(math.exp(4) / z_start * math.exp(3) / z_end)
    assert selection.null_logit == -2


def test_overlap_gives_no_duplicates_and_top_k_is_exact():
    random = np.random.default_rng(1)
    windows = [window(3, 0, 6), window(3, 4, 6), window(3, 8, 3)]
    start = [random.normal(size=w.tokens).astype(np.float32) for w in windows]
    end = [random.normal(size=w.tokens).astype(np.float32) for w in windows]
    wanted = exhaustive(start, end, windows, 11, max_answer_len=4)
    for top_k in (1, 2, 5, 20, len(wanted)):
        spans = select_spans(start, end, windows, top_k=top_k, max_answer_len=4).spans
        assert [(s.start, s.end) for s in spans] == [key for key, _ in wanted[:top_k]]
        assert [s.logit for s in spans] == pytest.approx([value for _, value in wanted[:top_k]])
    everything = select_spans(start, end, windows, top_k=10_000, max_answer_len=4).spans
    assert len(everything) == len(wanted)


def exhaustive(start, end, windows, count, max_answer_len):
    """Every span of every window with its best logit, best first, by plain loops."""
    found = {}
    places = offsets(count)
    for s, e, w in zip(start, end, windows, strict=True):
        for i in range(w.context_tokens):
            for j in range(i, min(i + max_answer_len, w.context_tokens)):
                key = (int(places[w.context_start + i, 0]), int(places[w.context_start + j, 1]))
                value = float(s[w.first + i]) + float(e[w.first + j])
                found[key] = max(value, found.get(key, -math.inf))
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def test_tokens_that_share_their_text_give_one_answer():
    # An emoji of two byte-level tokens: four spans, one text.
    places = np.array([[0, 1], [0, 1], [2, 3]])
    selection = select_spans([np.zeros(4, np.float32)], [np.zeros(4, np.float32)], [placed(places)], top_k=9)
    assert sorted((s.start, s.end) for s in selection.spans) == [(0, 1), (0, 3), (2, 3)]


def test_tokens_without_text_are_no_answer():
    places = np.array([[0, 2], [2, 2], [3, 5]])
    start = logits(0, 0, 9, 0)
    selection = select_spans([start], [start], [placed(places)], top_k=9)
    assert sorted((s.start, s.end) for s in selection.spans) == [(0, 2), (0, 5), (3, 5)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_an_error(bad):
    with pytest.raises(InferenceError, match="not a finite number"):
        select_spans([logits(0, bad)], [logits(0, 0)], [window(1, 0, 1, 0)])


def test_a_span_that_crosses_a_border_gives_way_to_the_best_that_does_not():
    start, end = logits(0, 5, 1, 0, 3), logits(0, 1, 0, 2, 4)
    whole = window(1, 0, 4, after=0)
    (free,) = select_spans([start], [end], [whole]).spans
    assert (free.start, free.end, free.logit) == (0, 11, 9)  # the first token to the last
    parted = replace(whole, blocks=np.array([0, 0, 1, 1]))
    ranked = select_spans([start], [end], [parted], top_k=9).spans
    # By hand: first and second token 5 + 1, 5 + 0, 1 + 0; third and fourth 0 + 2, 0 + 4, 3 + 4.
    assert [(s.start, s.end, s.logit) for s in ranked] == [
        *((9, 11, 7), (0, 2, 6), (0, 5, 5), (6, 11, 4), (6, 8, 2), (3, 5, 1)),
    ]
    assert select_spans([start], [end], [parted]).spans[0] == ranked[0]
    # The score is that of the pair among all of them, as without borders.
    assert ranked[1].score == select_spans([start], [end], [whole], top_k=9).spans[3].score


def test_one_block_is_as_good_as_none():
    start, end = logits(0, 5, 1, 0, 3), logits(0, 1, 0, 2, 4)
    whole = window(1, 0, 4, after=0)
    assert select_spans([start], [end], [replace(whole, blocks=np.full(4, 7))]) == select_spans([start], [end], [whole])


def test_a_span_knows_none_and_its_rival_in_its_own_window():
    # Context tokens a b c d; pairs up to two tokens long.
    start, end = logits(1, 5, 0, 2, 1), logits(1, 0, 6, 1, 3)
    other = (logits(-3, 0, 0, 0, 0), logits(-4, 0, 0, 0, 0))
    selector = SpanSelector(3, 2, rivals=True)
    selector.add(window(1, 0, 4, after=0), start, end)
    selector.add(window(1, 10, 4, after=0), *other)
    selection = selector.result()
    assert selection.null_logit == -7  # the least of all windows
    # a-b 5 + 6, then b 0 + 6 and a 5 + 0, each with "none" of the first window, 2.
    assert [(s.start, s.end, s.logit, s.null_logit) for s in selection.spans] == [
        *((0, 5, 11, 2), (3, 5, 6, 2), (0, 2, 5, 2)),
    ]
    # Beside a-b stand c-d 2 + 3, c 2 + 1, d 1 + 3; beside b these and a, 5; beside a also b, 6.
    assert [s.rival_logit for s in selection.spans] == [5, 5, 6]


def test_rivals_are_those_of_an_exhaustive_search():
    random = np.random.default_rng(3)
    given = replace(window(2, 0, 12), blocks=np.repeat([0, 1, 2], [5, 4, 3]))
    start, end = random.normal(size=(2, given.tokens)).astype(np.float32)
    for top_k in (1, None):
        selector = SpanSelector(top_k, 3, rivals=True)
        selector.add(given, start, end)
        spans = selector.result().spans
        assert len(spans) == (1 if top_k else 27)
        for span in spans:
            first, last = span.start // 3, span.end // 3
            wanted = max(
                float(start[2 + i]) + float(end[2 + j])
                for i in range(12)
                for j in range(i, min(i + 3, 12))
                if given.blocks[i] == given.blocks[j] and (j < first or i > last)
            )
            assert span.rival_logit == pytest.approx(wanted)


def test_the_only_span_has_no_rival():
    selector = SpanSelector(1, 30, rivals=True)
    selector.add(window(1, 0, 1, after=0), logits(0, 1), logits(0, 1))
    assert selector.result().spans[0].rival_logit == -math.inf


def test_a_closer_look_finds_the_span_with_the_numbers_of_that_window():
    random = np.random.default_rng(4)
    given = replace(window(2, 0, 12), blocks=np.repeat([0, 1, 2], [5, 4, 3]))
    start, end = random.normal(size=(2, given.tokens)).astype(np.float32)
    selector = SpanSelector(None, 3, rivals=True)
    selector.add(given, start, end)
    spans = selector.result().spans
    assert len(spans) == 27
    for span in spans:  # what the selection itself knows of this window
        alone = closer(replace(span, logit=9.0, null_logit=9.0), start, end, given, 3)
        assert alone == pytest.approx((span.logit, span.null_logit, span.rival_logit))
    whole = spans[0]
    for other in ((0, 999), (1, whole.end), (0, 3 * 3 + 2), (4 * 3, 5 * 3 + 2)):  # no tokens, too long, two blocks
        assert closer(replace(whole, start=other[0], end=other[1]), start, end, given, 3) is None
    with pytest.raises(InferenceError, match="not a finite number"):
        closer(whole, np.full_like(start, np.nan), end, given, 3)
