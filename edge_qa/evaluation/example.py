"""One question of a data set, and how it is made of the JSON of any layout."""

import sys
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge_qa.errors import InputError

_T = TypeVar("_T")
_NAMES = {str: "text", list: "a list", dict: "an object", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Example:
    """One question about one context; every string is exactly as it stood in the file."""

    id: str  # in digits where the file has a number
    question: str
    context: str
    answers: tuple[str, ...]  # gold texts, repeats kept; empty if unanswerable
    title: str = ""
    starts: tuple[int, ...] = field(default=(), compare=False)  # of answers in the context; -1 where it is not told
    labelled: bool = field(default=True, compare=False)  # whether the file says what the answer is, or that none is

    @property
    def is_impossible(self) -> bool:
        """Whether no gold answer exists, which is all that the official metric looks at."""
        return not self.answers


@dataclass(frozen=True, slots=True)
class Place:
    """Where one question stands, and the JSON that it is made of: one node, or three where a layout nests them.

    number: what it is called where it has no id; None where the layout wants one.
    """

    where: str  # the path within the file, without the file's name
    question: Any
    paragraph: Any
    article: Any
    number: int | None = None

    @property
    def id(self) -> str | int:
        """The id as the file has it. Raises InputError unless it is text or a whole number that can be written back."""
        if self.number is None or (isinstance(self.question, dict) and "id" in self.question):
            value = get(self.question, "id", object, self.where)
        else:
            value = self.number
        if isinstance(value, bool) or not isinstance(value, str | int):
            kind = "a fraction" if isinstance(value, float) else name_of(value)
        elif isinstance(value, str) and not _is_unicode(value):
            kind = "half a character"
        else:
            return value
        raise InputError(
            f"'id' is {kind}", where=self.where, wanted="text or a whole number", remedy="correct the file"
        )

    def asked(self) -> tuple[str, str]:
        """Return the question and its context. Raises InputError if one is missing or no text."""
        question = get(self.question, "question", str, self.where)
        outside = self.where if self.paragraph is self.question else self.where.rpartition(".qas[")[0]
        return question, get(self.paragraph, "context", str, outside)

    def example(self) -> Example:
        """Return the question with all that is known of it. Raises InputError if anything is not of the usual form."""
        question, context = self.asked()
        answers = _answers(self.question.get("answers"), self.where)
        return Example(
            id=str(self.id),
            question=question,
            context=sys.intern(context),  # one often serves many questions, and is kept once
            answers=tuple(text for text, _ in answers or ()),
            title=get(self.article, "title", str, self.where, ""),
            starts=tuple(start for _, start in answers or ()),
            labelled=answers is not None or self.says_impossible,
        )

    @property
    def says_impossible(self) -> bool:
        """Whether the file marks the question as one without an answer."""
        return get(self.question, "is_impossible", bool, self.where, False)


def _answers(value: Any, where: str) -> list[tuple[str, int]] | None:
    """Return (text, start) of each answer; None where there is no such key.

    value: texts, objects with `text` and perhaps `answer_start`, or one object with a list of each, as the library
    `datasets` has it.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        texts = get(value, "text", list, f"{where}: answers")
        starts = get(value, "answer_start", list, f"{where}: answers", [None] * len(texts))
        if len(starts) != len(texts):
            raise InputError(
                f"{len(texts)} texts and {len(starts)} starts",
                where=f"{where}: answers",
                wanted="one of each",
                remedy="correct the file",
            )
        value = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(value, list):
        raise InputError(f"'answers' is {name_of(value)}", where=where, wanted="a list", remedy="correct the file")
    return [
        (answer, -1) if isinstance(answer, str) else _answer(answer, f"{where}: answers[{i}]")
        for i, answer in enumerate(value)
    ]


def _answer(node: Any, where: str) -> tuple[str, int]:
    text = get(node, "text", str, where)
    start = node.get("answer_start")
    return text, start if type(start) is int and start >= 0 else -1


def get(node: Any, key: str, kind: type[_T], where: str, default: _T | None = None) -> _T:
    """Return node[key]; no default means that the key must be there, and null is as good as no key where there is one.

    Raises InputError if the node is no object, or has another kind of value there.
    """
    if not isinstance(node, dict):
        raise InputError(
            f"got {name_of(node)}", where=where, wanted=f"an object with {key!r}", remedy="correct the file"
        )
    if key not in node or (node[key] is None and default is not None):
        if default is None:
            raise InputError(
                f"no {key!r}",
                where=where,
                wanted=_NAMES.get(kind, "one"),
                remedy="add it, or check that this is a SQuAD file",
            )
        return default
    value = node[key]
    if not isinstance(value, kind):
        raise InputError(f"{key!r} is {name_of(value)}", where=where, wanted=_NAMES[kind], remedy="correct the file")
    return value


def name_of(value: object) -> str:
    """Return what kind of JSON value this is, in words."""
    return _NAMES.get(type(value), "a number")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
