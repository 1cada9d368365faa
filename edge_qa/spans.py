"""Choose answer spans from start and end logits.

A span's score is P(start) * P(end), each a softmax over the context tokens of all windows and the
[CLS] position, so that scores compare across windows and across questions. A token that stands in
several windows counts once, with its best logit. For a context of one window this is the score of
the question-answering pipeline of transformers 4; null scores follow SQuAD 2.0 (Devlin et al. 2018,
section 4.3): s_null = start[CLS] + end[CLS], the smallest over all windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_qa.errors import InferenceError
from edge_qa.windows import Window

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """An answer by its code point offsets; `logit` is start + end logit, `score` its probability, 0..1."""

    start: int
    end: int
    logit: float
    score: float


@dataclass(frozen=True)
class Selection:
    """The best spans, best first, and how the answer "none" compares with them."""

    spans: tuple[Span, ...]
    null_logit: float
    null_score: float

    @property
    def null_margin(self) -> float:
        """null logit - best span's logit: SQuAD 2.0 answers "none" where this exceeds a threshold."""
        return self.null_logit - self.spans[0].logit if self.spans else float("inf")


def select_spans(
    start: Sequence[Logits],
    end: Sequence[Logits],
    windows: Sequence[Window],
    offsets: NDArray[np.int64],
    *,
    top_k: int = 1,
    max_answer_len: int = 30,
) -> Selection:
    """Return the `top_k` best spans over all windows, no two with the same offsets.

    start, end: per window, float32 logits of its tokens, (tokens,).
    offsets: code point offsets of the context's tokens, (context tokens, 2).
    max_answer_len: the most tokens of an answer.
    Fewer spans come back only if the context has no more.
    Raises InferenceError if a logit is not finite.
    """
    for logits in (*start, *end):
        if not np.isfinite(logits).all():
            raise InferenceError("the model gave a logit that is not a finite number; check its weights and precision")
    null = min(range(len(windows)), key=lambda i: start[i][0] + end[i][0])
    null_logit = float(start[null][0]) + float(end[null][0])
    start_log_z = _log_normaliser(start, windows, len(offsets), float(start[null][0]))
    end_log_z = _log_normaliser(end, windows, len(offsets), float(end[null][0]))
    # Byte-level tokens can share offsets, and overlapping windows share tokens, so some candidates
    # are the same answer: ask for more until enough different ones are there or none are left.
    wanted = top_k if top_k == 1 else 2 * top_k
    while True:
        spans, exhausted = _distinct(start, end, windows, offsets, wanted, max_answer_len)
        if len(spans) >= top_k or exhausted:
            break
        wanted *= 4
    best = sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:top_k]
    chosen = tuple(
        Span(first, last, logit, float(np.exp(logit - start_log_z - end_log_z))) for (first, last), logit in best
    )
    return Selection(chosen, null_logit, float(np.exp(null_logit - start_log_z - end_log_z)))


def _distinct(
    start: Sequence[Logits],
    end: Sequence[Logits],
    windows: Sequence[Window],
    offsets: NDArray[np.int64],
    wanted: int,
    max_answer_len: int,
) -> tuple[dict[tuple[int, int], float], bool]:
    """The best spans of each window by their offsets with their best logit; True if there are no others."""
    found: dict[tuple[int, int], float] = {}
    exhausted = True
    for window_start, window_end, window in zip(start, end, windows, strict=True):
        inside = slice(window.first, window.first + window.context_tokens)
        places = offsets[window.context_start : window.context_start + window.context_tokens]
        if not len(places):
            continue
        firsts, lasts, logits, all_there = _best_of_window(
            window_start[inside], window_end[inside], places, wanted, max_answer_len
        )
        exhausted &= all_there
        for first, last, logit in zip(firsts.tolist(), lasts.tolist(), logits.tolist(), strict=True):
            key = (first, last)
            found[key] = max(logit, found.get(key, logit))
    return found, exhausted


def _best_of_window(
    start: Logits, end: Logits, places: NDArray[np.int64], wanted: int, max_answer_len: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Logits, bool]:
    """(offsets of starts, offsets of ends, logits) of the `wanted` best spans of one window, and if those are all."""
    # A token without text (SentencePiece's word mark alone, say) cannot end an answer. It can begin one,
    # where the next text begins: some models were trained to point at the mark.
    empty = places[:, 0] == places[:, 1]
    end = np.where(empty, -np.inf, end)
    text_after = np.minimum.accumulate(np.where(empty, np.iinfo(np.int64).max, places[:, 0])[::-1])[::-1]
    begins = np.where(empty, text_after, places[:, 0])
    reach = min(max_answer_len, len(end))
    padded = np.concatenate([end, np.full(reach - 1, -np.inf, end.dtype)])
    scores = (start[:, None] + sliding_window_view(padded, reach)).ravel()  # (tokens * reach,)
    if wanted == 1:
        order = np.array([scores.argmax()])
    elif wanted < scores.size:
        order = np.argpartition(-scores, wanted)[:wanted]
    else:
        order = np.arange(scores.size)
    order = order[scores[order] > -np.inf]
    first, length = np.divmod(order, reach)
    return begins[first], places[first + length, 1], scores[order], wanted >= scores.size or len(order) < wanted


def _log_normaliser(
    logits: Sequence[Logits], windows: Sequence[Window], context_tokens: int, null_logit: float
) -> float:
    """Log of the sum of exp over every context token, once each, and the null logit."""
    best = np.full(context_tokens + 1, -np.inf)
    for row, window in zip(logits, windows, strict=True):
        place = best[window.context_start : window.context_start + window.context_tokens]
        np.maximum(place, row[window.first : window.first + window.context_tokens], out=place)
    best[-1] = null_logit
    peak = best.max()
    return float(peak + np.log(np.exp(best - peak).sum()))
