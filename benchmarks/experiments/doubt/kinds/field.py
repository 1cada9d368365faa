"""A fact that a document may state, or a column of a table: how it is written, and how it is asked for."""

from dataclasses import dataclass

from benchmarks.experiments.doubt.values import Value


@dataclass(frozen=True)
class Field:
    """labels: of a line or cell. sentences: with {} where the value stands. questions: in words of a user."""

    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    value: Value


# A column of a table: its header, questions with {row}, what its cells hold.
Column = tuple[str, tuple[str, ...], Value]


def field(labels: str, sentences: str, questions: str, value: Value) -> Field:
    """Return a field; the parts of each text stand between bars."""
    return Field(*(tuple(part.strip() for part in text.split("|")) for text in (labels, sentences, questions)), value)


def column(header: str, questions: str, value: Value) -> Column:
    """Return a column; the questions stand between bars."""
    return header, tuple(part.strip() for part in questions.split("|")), value
