"""Choose answer spans from start and end logits, window by window.

A pair of tokens has the probability P(start) * P(end), each a softmax over the context tokens of all
windows and the [CLS] position, so that scores compare across windows and across questions; a token
that stands in several windows counts once, with its best logit. A span's score is the sum over all
pairs of tokens that stand for it: usually one; more where tokens share a character, or a word to which
answers are aligned. A span that stands in several windows has the score of the best. For a context of
one window these are the scores of the question-answering pipeline of transformers 4; null scores follow
SQuAD 2.0 (Devlin et al. 2018, section 4.3): s_null = start[CLS] + end[CLS], the smallest over all windows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_qa.errors import InferenceError
from edge_qa.text.windows import Window

Logits = NDArray[np.float32]
Indices = NDArray[np.int64]

# An answer is no longer than this many characters for each token that it may have. WordPiece makes every
# word of more than 100 characters one unknown token, and one megabyte without a space is no answer.
CHARACTERS_PER_TOKEN = 100

# A pair this many times less likely than the best one adds nothing that a score would show.
_DEPTH = math.log(1e7)


class Alone(NamedTuple):
    """What the model says of a span in its own passage, read by itself: see `Span`."""

    logit: float
    null_logit: float
    rival_logit: float


@dataclass(frozen=True)
class Span:
    """An answer by its code point offsets; `logit` is its best start + end logit, `score` its probability, 0..1.

    Of the window where it has that logit, for a confidence (`edge_qa/inference/confidence.py`):
    null_logit: of "none". rival_logit: the best of a span that shares no token with this one; -inf where there is
    none or nobody asked.
    alone: the same three in the span's own passage, read by itself; None where nobody looked, or it is no span there.
    """

    start: int
    end: int
    logit: float
    score: float
    null_logit: float = math.nan
    rival_logit: float = -math.inf
    alone: Alone | None = None


@dataclass(frozen=True)
class Selection:
    """The best spans, best first, and how the answer "none" compares with them.

    question_truncated: the end of the question was not read.
    """

    spans: tuple[Span, ...]
    null_logit: float
    null_score: float
    question_truncated: bool = False

    @property
    def null_margin(self) -> float:
        """null logit - best span's logit: SQuAD 2.0 answers "none" where this exceeds a threshold."""
        return self.null_logit - self.spans[0].logit if self.spans else float("inf")


def select_spans(
    start: Sequence[Logits],
    end: Sequence[Logits],
    windows: Sequence[Window],
    *,
    top_k: int | None = 1,
    max_answer_len: int = 30,
) -> Selection:
    """Return the `top_k` best spans over all windows, no two with the same offsets.

    start, end: per window, float32 logits of its tokens, (tokens,).
    top_k: None for every span that is not negligible (1e7 times less likely than the best).
    max_answer_len: the most tokens of an answer; it may hold 100 times as many characters.
    Fewer spans come back only if the context has no more.
    Raises InferenceError if a logit is not finite.
    """
    selector = SpanSelector(top_k, max_answer_len)
    for row in zip(windows, start, end, strict=True):
        selector.add(*row)
    return selector.result()


class SpanSelector:
    """Takes the windows of one context in order; what it holds does not grow with their number."""

    def __init__(self, top_k: int | None, max_answer_len: int, *, rivals: bool = False) -> None:
        """Begin a context. rivals: find the rival of each span, too."""
        self.top_k, self.max_answer_len, self.rivals = top_k, max_answer_len, rivals
        self._best: dict[tuple[int, int], _Found] = {}
        self._sums = (_LogSum(), _LogSum())
        self._null = (math.inf, math.inf)
        self._question_truncated = False

    def add(self, window: Window, start: Logits, end: Logits) -> None:
        """Take one window and its logits, (tokens,) each. Raises InferenceError if one is not finite."""
        _check_finite(start, end)
        self._question_truncated = window.question_truncated
        null = float(start[0]), float(end[0])
        if sum(null) < sum(self._null):
            self._null = null
        inside = slice(window.first, window.first + window.context_tokens)
        start, end = start[inside], end[inside]
        if not len(start):
            return
        self._sums[0].add(window.context_start, start)
        self._sums[1].add(window.context_start, end)
        for key, (mass, logit, rival) in _window_spans(
            start, end, window, self.top_k, self.max_answer_len, rivals=self.rivals
        ):
            found = _Found(mass, logit, sum(null), rival)
            self._best[key] = max(found, self._best.get(key, found))
        if self.top_k is None or len(self._best) > 2 * self.top_k:
            self._best = dict(self._ranked())

    def result(self) -> Selection:
        """The best spans of all windows; the last call."""
        log_z = sum(total.close_with(null) for total, null in zip(self._sums, self._null, strict=True))
        spans = tuple(
            Span(*key, found.logit, min(1.0, math.exp(found.mass - log_z)), found.null_logit, found.rival_logit)
            for key, found in self._ranked()
        )
        null_logit = sum(self._null)
        return Selection(spans, null_logit, math.exp(null_logit - log_z), self._question_truncated)

    def _ranked(self) -> list[tuple[tuple[int, int], "_Found"]]:
        ranked = sorted(self._best.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        if self.top_k is not None:
            return ranked[: self.top_k]
        return [item for item in ranked if item[1][0] >= ranked[0][1][0] - _DEPTH]


class _Found(NamedTuple):
    """What is known of a span: log of the summed exp of its pairs' logits, the best of those, and see `Span`."""

    mass: float
    logit: float
    null_logit: float
    rival_logit: float


def _check_finite(start: Logits, end: Logits) -> None:
    # A sum is finite only if every term is (a few hundred float32 cannot overflow a float64).
    if not math.isfinite(float(start.sum(dtype=np.float64) + end.sum(dtype=np.float64))):
        raise InferenceError(
            "the model gave a logit that is not a finite number", remedy="check its weights and precision"
        )


def _window_spans(
    start: Logits, end: Logits, window: Window, top_k: int | None, max_answer_len: int, *, rivals: bool
) -> list[tuple[tuple[int, int], tuple[float, float, float]]]:
    """The best spans of one window: (offsets, (mass, logit, rival's logit)), see `_Found`."""
    begins, ends = _places(window.offsets)
    scores = _scores(start, end, begins, ends, max_answer_len)  # (tokens, reach)
    if window.blocks is not None:
        _keep_to_blocks(scores, window.blocks)
    best = float(scores.max())
    if best == -math.inf:
        return []
    if top_k == 1 and (np.diff(begins) > 0).all() and (np.diff(ends) > 0).all():
        first, length = divmod(int(scores.argmax()), scores.shape[1])
        rival = float(_rivals(scores, np.array([first]), np.array([first + length]))[0]) if rivals else -math.inf
        return [((int(begins[first]), int(ends[first + length])), (best, best, rival))]
    # Nearly always the pairs that matter give spans enough; a large top_k needs the others, too.
    for depth in (_DEPTH, math.inf):
        firsts, lengths = np.nonzero(scores >= max(best - depth, float(np.finfo(np.float32).min)))
        begin, end_, logits = begins[firsts], ends[firsts + lengths], scores[firsts, lengths].astype(np.float64)
        order = np.lexsort((-logits, end_, begin))
        begin, end_, logits = begin[order], end_[order], logits[order]
        head = np.flatnonzero(np.append(True, (np.diff(begin) != 0) | (np.diff(end_) != 0)))
        if top_k is None or len(head) >= top_k:
            break
    # Relative to each span's own best logit, which stands first in its group: nothing underflows.
    sizes = np.diff(np.append(head, len(logits)))
    masses = logits[head] + np.log(np.add.reduceat(np.exp(logits - np.repeat(logits[head], sizes)), head))
    chosen = np.argsort(-masses, kind="stable")[:top_k]
    places = order[head][chosen]
    keys = zip(begin[head][chosen].tolist(), end_[head][chosen].tolist(), strict=True)
    others = np.full(len(places), -math.inf)
    if rivals:
        others = _rivals(scores, firsts[places], (firsts + lengths)[places])
    values = zip(masses[chosen].tolist(), logits[head][chosen].tolist(), others.tolist(), strict=True)
    return list(zip(keys, values, strict=True))


def closer(span: Span, start: Logits, end: Logits, window: Window, max_answer_len: int) -> Alone | None:
    """Return what the logits of a window, (tokens,) each, say of a span of it; None if it is none of its answers.

    Raises InferenceError if a logit is not finite.
    """
    _check_finite(start, end)
    inside = slice(window.first, window.first + window.context_tokens)
    begins, ends = _places(window.offsets)
    scores = _scores(start[inside], end[inside], begins, ends, max_answer_len)
    if window.blocks is not None:
        _keep_to_blocks(scores, window.blocks)
    firsts = np.flatnonzero(begins == span.start)
    lasts = firsts[:, None] + np.arange(scores.shape[1])
    there = (lasts < len(ends)) & (ends[np.minimum(lasts, len(ends) - 1)] == span.end)
    pairs = np.where(there, scores[firsts], -np.inf)
    if not pairs.size or pairs.max() == -np.inf:
        return None
    row, length = divmod(int(pairs.argmax()), pairs.shape[1])
    first = firsts[row : row + 1]
    rival = float(_rivals(scores, first, first + length)[0])
    return Alone(float(pairs[row, length]), float(start[0]) + float(end[0]), rival)


def _rivals(scores: Logits, firsts: Indices, lasts: Indices) -> NDArray[np.float64]:
    """The best logit of a span that shares no token with each of the spans from `firsts` to `lasts`; -inf for none.

    scores: start + end logit of each pair in the window, (tokens, most tokens of an answer).
    """
    tokens, reach = scores.shape
    ending = np.full(tokens + reach, -math.inf)
    for length in range(reach):
        stretch = ending[length : length + tokens]
        np.maximum(stretch, scores[:, length], out=stretch)
    nothing = np.array([-math.inf])
    before = np.concatenate([nothing, np.maximum.accumulate(ending[:tokens])])
    after = np.concatenate([np.maximum.accumulate(scores.max(axis=1)[::-1])[::-1], nothing])
    result: NDArray[np.float64] = np.maximum(before[firsts], after[lasts + 1])
    return result


def _places(offsets: Indices) -> tuple[Indices, Indices]:
    """Where answers begin and end that begin or end with each token; an end of -1 for one that ends none."""
    # A token without text (SentencePiece's word mark alone, say) cannot end an answer. It can begin one,
    # where the next text begins: some models were trained to point at the mark.
    empty = offsets[:, 0] == offsets[:, 1]
    if not empty.any():
        return offsets[:, 0], offsets[:, 1]
    text_after = np.minimum.accumulate(np.where(empty, np.iinfo(np.int64).max, offsets[:, 0])[::-1])[::-1]
    return np.where(empty, text_after, offsets[:, 0]), np.where(empty, -1, offsets[:, 1])


def _scores(start: Logits, end: Logits, begins: Indices, ends: Indices, max_answer_len: int) -> Logits:
    """start + end logit of each pair in one window, (tokens, most tokens of an answer); -inf for what is no answer."""
    reach = min(max_answer_len, len(end))
    beyond = reach - 1
    padded = np.concatenate([np.where(ends < 0, -np.inf, end), np.full(beyond, -np.inf)]).astype(np.float32)
    scores: Logits = start[:, None] + sliding_window_view(padded, reach)
    limit = CHARACTERS_PER_TOKEN * max_answer_len
    if int(ends.max()) - int(begins[0]) > limit:  # most windows hold fewer characters than that altogether
        furthest = np.concatenate([ends, np.full(beyond, ends.max())])
        scores[sliding_window_view(furthest, reach) - begins[:, None] > limit] = -np.inf
    return scores


def _keep_to_blocks(scores: Logits, blocks: Indices) -> None:
    """Rule out the pairs that begin in one block of the text and end in another.

    scores: of the pairs, (tokens, most tokens of an answer). blocks: each token's block, rising, (tokens,).
    """
    if blocks[0] == blocks[-1]:
        return
    last = np.searchsorted(blocks, blocks, side="right") - 1  # of each token's block
    scores[np.arange(scores.shape[1]) > (last - np.arange(len(blocks)))[:, None]] = -np.inf


class _LogSum:
    """log of the sum of exp over tokens that come in overlapping stretches, each token once with its best logit."""

    def __init__(self) -> None:
        self.peak, self.total = -math.inf, 0.0  # of the tokens that no later stretch can hold
        self.start = 0
        self.open: NDArray[np.float64] = np.empty(0)  # of the tokens from `start` on

    def add(self, start: int, logits: Logits) -> None:
        passed = start - self.start
        self._close(self.open[:passed])
        known = self.open[passed:]
        both = min(len(known), len(logits))
        longer = logits if len(logits) >= len(known) else known
        self.open = longer.astype(np.float64)
        np.maximum(known[:both], logits[:both], out=self.open[:both])
        self.start = start

    def close_with(self, logit: float) -> float:
        """The log of the sum with one last term."""
        self._close(self.open)
        self._close(np.array([logit]))
        return self.peak + math.log(self.total)

    def _close(self, logits: NDArray[np.float64]) -> None:
        if len(logits):
            peak = max(self.peak, float(logits.max()))
            scaled = self.total * math.exp(self.peak - peak) if self.total else 0.0
            self.peak, self.total = peak, scaled + float(np.exp(logits - peak).sum())
