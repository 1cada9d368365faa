"""Rows of questions -> lines of answers, one for each row: what `edge-qa batch` writes, on one machine or many."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from edge_qa.answerer import QuestionAnswerer
from edge_qa.answers import Answer
from edge_qa.errors import InputError
from edge_qa.evaluation.rows import Row
from edge_qa.inference.batching import BATCH
from edge_qa.inference.reading import Limits, Reading, Shortlisting
from edge_qa.text.blocks import Within
from edge_qa.text.windows import Window


@dataclass(frozen=True)
class AnswerOptions:
    """How rows are answered; see `QuestionAnswerer.answer`."""

    top_k: int = 1
    max_answer_len: int | None = None
    no_answer_threshold: float | None = None
    min_confidence: float | None = None
    shortlist: Shortlisting = "auto"
    max_windows: int | None = None
    timeout: float | None = None
    max_question_len: int | None = None
    within: Within = "block"

    def limits(self) -> Limits:
        """Return what ends the reading of a context. Raises InputError for limits that are none."""
        return Limits(self.shortlist, self.max_windows, self.timeout)


@dataclass(frozen=True)
class AnsweredRow:
    """A line of the output, with its line feed; failed: it says why the row could not be used."""

    line: bytes
    failed: bool


def answers_of_rows(
    answerer: QuestionAnswerer,
    rows: Iterable[Row],
    options: AnswerOptions,
    *,
    at_hand: Callable[[], bool] | None = None,
) -> Iterator[tuple[Row, list[Answer] | InputError]]:
    """Yield each row, in the order given, and its answers, or the error that says why it has none.

    at_hand: says whether the next row can be had at once; where it cannot, all rows so far are answered first.
    Raises InputError for options that this bundle cannot honour, and what the rows raise.
    """
    answerer.check_confidence(options.min_confidence)
    limits = options.limits()
    cut = partial(answerer.windows, max_question_len=options.max_question_len, within=options.within)

    look = partial(answerer.closer_looks, max_question_len=options.max_question_len, within=options.within)

    def windows(reading: _RowReading) -> Iterator[Window]:
        if reading.row.error:
            raise InputError(reading.row.error)
        return reading.windows(cut)

    outcomes = answerer.outcomes(
        (_RowReading(row, limits) for row in rows),
        windows,
        max_answer_len=options.max_answer_len,
        top_k=options.top_k,
        # A time limit is looked at between the windows of one question, which then runs alone.
        batch_size=BATCH if options.timeout is None else 1,
        closer=lambda reading, selection: look(selection, reading.question, reading.context),
        at_hand=at_hand,
    )
    for outcome in outcomes:
        row = outcome.item.row
        if outcome.error is not None:
            yield row, outcome.error
            continue
        yield (
            row,
            answerer.answers(
                outcome.spans(),
                row.context,
                top_k=options.top_k,
                no_answer_threshold=options.no_answer_threshold,
                min_confidence=options.min_confidence,
                partial=outcome.item.partial,
            ),
        )


def answered_rows(
    answerer: QuestionAnswerer,
    rows: Iterable[Row],
    options: AnswerOptions,
    *,
    at_hand: Callable[[], bool] | None = None,
) -> Iterator[AnsweredRow]:
    """Yield a line for each row, in the order given: {"id", "answers"} or {"id", "error"}.

    Raises what `answers_of_rows` raises.
    """
    for row, answers in answers_of_rows(answerer, rows, options, at_hand=at_hand):
        found: dict[str, Any]
        if failed := isinstance(answers, InputError):
            found = {"error": str(answers)}
        else:
            found = {"answers": [asdict(answer) for answer in answers]}
        line = json.dumps({"id": row.id, **found}, ensure_ascii=False).encode() + b"\n"
        yield AnsweredRow(line, failed)


def lines_failed(count: int, source: object) -> InputError:
    """Return the error to end with where lines of the output are errors."""
    return InputError(
        f"{count} line{'s' * (count > 1)} could not be used",
        where=source,
        remedy="their lines in the output say why" if count > 1 else "its line in the output says why",
    )


class _RowReading(Reading):
    """A row on its way through the model."""

    def __init__(self, row: Row, limits: Limits) -> None:
        super().__init__(row.question, row.context, limits)
        self.row = row
