"""What the pipeline of transformers 4.57 makes of logits, with the rules of edge_qa/compat/pipeline.py one by one.

With no rule this is `QuestionAnsweringPipeline.postprocess` with `select_starts_ends` and `decode_spans`; each
rule replaces what it says. Plain and slow, and nothing of it comes from edge_qa/inference/spans.py or
edge_qa/text/offsets.py.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa.text.windows import Window

# Those that can change an answer to plain text; in the order in which a difference is put down to them.
RULES = (1, 2, 3, 5)

Row = tuple[float, int, int]  # score, start, end


@dataclass(frozen=True)
class Logits:
    """Windows of one context with their logits; words: the word number of each token of the context."""

    context: str
    windows: list[Window]
    start: list[np.ndarray]
    end: list[np.ndarray]
    words: np.ndarray


def remember(qa: QuestionAnswerer) -> QuestionAnswerer:
    """Make an answerer run each window once, however often it is asked for."""
    known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    infer = qa.engine.logits

    def logits(windows: list[Window], *, batch_size: int = 1) -> tuple[list[np.ndarray], list[np.ndarray]]:
        new = {key: window for window in windows if (key := window.input_ids.tobytes()) not in known}
        known.update(zip(new, zip(*infer(list(new.values()), batch_size=batch_size), strict=True), strict=True))
        found = [known[window.input_ids.tobytes()] for window in windows]
        return [start for start, _ in found], [end for _, end in found]

    qa.engine.logits = logits
    return qa


def run(qa: QuestionAnswerer, question: str, context: str, **lengths: int) -> Logits:
    """Run the model on a question with the old pipeline's lengths."""
    longest = lengths.get("max_seq_len", 384)
    stride = lengths.get("doc_stride", min(longest // 2, 128))
    windows = list(qa.windows(question, context, max_seq_len=longest, doc_stride=stride, max_question_len=64))
    words = np.array(qa.tokenizer._tokenizer.encode(context, add_special_tokens=False).word_ids)
    return Logits(context, windows, *qa.engine.logits(windows), words)


def answers(
    logits: Logits, rules: Collection[int], *, top_k: int = 1, max_answer_len: int = 15, none: bool = False
) -> list[Row]:
    """The best answers, best first."""
    start, end, null = _probabilities(logits, shared=1 in rules)
    offsets = np.zeros((len(logits.words), 2), int)
    for window in logits.windows:
        offsets[_inside(window)] = window.offsets
    spans: dict[tuple[int, int], tuple[float, float]] = {}  # offsets -> (score, its best pair's)
    for window, p_start, p_end in zip(logits.windows, start, end, strict=True):
        pairs = np.tril(np.triu(np.outer(p_start, p_end)), max_answer_len - 1)
        order = np.argsort(-pairs, axis=None, kind="stable")[: None if 3 in rules else 2 * top_k + 10]
        of_window: dict[tuple[int, int], tuple[float, float]] = {}
        whole = np.ones(len(logits.words), bool) if 5 in rules else _mask(window, len(logits.words))
        begins, ends = _word_bounds(logits.words[_inside(window)], logits.words[whole], offsets[whole])
        firsts, lasts = (index.tolist() for index in np.unravel_index(order, pairs.shape))
        for first, last, score in zip(firsts, lasts, pairs.ravel()[order].tolist(), strict=True):
            if score == 0:
                break
            key = (begins[first], ends[last])
            known, best = of_window.get(key, (0.0, 0.0))
            of_window[key] = (known + score, max(best, score))
        for key, (score, best) in of_window.items():
            known, known_best = spans.get(key, (0.0, 0.0))
            both = max(known, score) if 2 in rules else known + score
            spans[key] = (both, max(best, known_best))
    return _by_text(logits.context, spans, null, moved=1 in rules, none=none)[:top_k]


def explain(logits: Logits, golden: list[list[float]], got: list[Row], **options: int | bool) -> int | None:
    """The rule that makes the golden answers (score, start, end) ours; None if they are the same.

    With no rule the reference must give the golden answers, with all of them ours: so the rules are all
    the difference that there is.
    """
    assert_equal(answers(logits, (), **options), golden, 1e-4)
    assert_equal(got, answers(logits, RULES, **options), 1e-5)
    if places(golden) == places(got):
        return None
    return next(rule for n, rule in enumerate(RULES, 1) if places(answers(logits, RULES[:n], **options)) == places(got))


def rows(result: dict[str, Any] | list[dict[str, Any]]) -> list[Row]:
    """What the pipeline returned for one question."""
    return [(one["score"], one["start"], one["end"]) for one in ([result] if isinstance(result, dict) else result)]


def places(found: Iterable[Sequence[float]]) -> list[tuple[float, ...]]:
    """(start, end) of each row."""
    return [tuple(place) for _, *place in found]


def assert_equal(found: list[Any], expected: list[Any], tolerance: float) -> None:
    assert places(found) == places(expected)
    assert [row[0] for row in found] == pytest.approx([row[0] for row in expected], abs=tolerance)


def _by_text(
    context: str, spans: dict[tuple[int, int], tuple[float, float]], null: float, *, moved: bool, none: bool
) -> list[Row]:
    """Spans that read the same are one; `moved` where its best pair stands, else where it was found first."""
    texts: dict[str, tuple[float, float, tuple[int, int]]] = {}
    for (begin, end), (score, best) in spans.items():
        text = context[begin:end].lower()
        known, known_best, place = texts.get(text, (0.0, 0.0, (begin, end)))
        if moved and best > known_best:
            place = (begin, end)
        texts[text] = (known + score, max(best, known_best), place)
    found = [(score, *place) for score, _, place in texts.values()]
    return sorted([*found, (null, 0, 0)] if none else found, key=lambda row: -row[0])


def _probabilities(logits: Logits, *, shared: bool) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """P(start) and P(end) of each window's context tokens, and that of no answer."""
    nulls = [(s[0], e[0]) for s, e in zip(logits.start, logits.end, strict=True)]
    least = min(nulls, key=sum)
    parts = []
    for which, rows in enumerate((logits.start, logits.end)):
        inside = [row[w.first : w.first + w.context_tokens] for w, row in zip(logits.windows, rows, strict=True)]
        best = np.full(len(logits.words), -np.inf)
        for window, row in zip(logits.windows, inside, strict=True):
            best[_inside(window)] = np.maximum(best[_inside(window)], row)
        totals = [
            np.exp(best).sum() + np.exp(least[which]) if shared else np.exp(row).sum() + np.exp(null[which])
            for row, null in zip(inside, nulls, strict=True)
        ]
        parts.append(([np.exp(row) / total for row, total in zip(inside, totals, strict=True)], totals))
    (start, start_totals), (end, end_totals) = parts
    each = [
        np.exp(s) / start_total * np.exp(e) / end_total
        for (s, e), start_total, end_total in zip([least] if shared else nulls, start_totals, end_totals, strict=False)
    ]
    return start, end, float(min(each))


def _inside(window: Window) -> slice:
    return slice(window.context_start, window.context_start + window.context_tokens)


def _mask(window: Window, tokens: int) -> np.ndarray:
    mask = np.zeros(tokens, bool)
    mask[_inside(window)] = True
    return mask


def _word_bounds(asked: np.ndarray, words: np.ndarray, offsets: np.ndarray) -> tuple[list[int], list[int]]:
    """Where the word of each token begins and ends, among the tokens that are known."""
    bounds = {word: (offsets[words == word, 0].min(), offsets[words == word, 1].max()) for word in set(asked.tolist())}
    return [int(bounds[word][0]) for word in asked.tolist()], [int(bounds[word][1]) for word in asked.tolist()]
