"""Read question answering data sets: SQuAD JSON, JSON lines or plain text, gzipped or not."""

import gzip
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge_qa.errors import InputError
from edge_qa.evaluation.plain_text import read_passages
from edge_qa.git_lfs import refuse_pointer

__all__ = ["Dataset", "Example", "Version", "read_dataset"]

Version = Literal["v1.1", "v2.0"]  # which of the two official metrics a data set is made for

_T = TypeVar("_T")
_WANTED = (
    'wanted one SQuAD object with "data" (https://rajpurkar.github.io/SQuAD-explorer/), '
    'or one {"question": ..., "context": ...} object a line'
)
_NAMES = {str: "text", list: "a list", dict: "an object", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Example:
    """One question about one context; every string is exactly as it stood in the file."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]  # gold texts, repeats kept; empty if unanswerable
    title: str = ""
    starts: tuple[int, ...] = field(default=(), compare=False)  # of answers in the context; -1 where it is not told

    @property
    def is_impossible(self) -> bool:
        """Whether no gold answer exists, which is all that the official metric looks at."""
        return not self.answers


@dataclass(frozen=True)
class Dataset:
    """A file's examples in file order; iterating over it gives them."""

    name: str  # file name without its folder, so that a report is the same on every machine
    version: Version
    sha256: str  # of the bytes on disk, that is of the gzipped ones where gzipped
    examples: tuple[Example, ...] = field(repr=False)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __len__(self) -> int:
        return len(self.examples)


def read_dataset(path: str | PathLike[str]) -> Dataset:
    """Return the questions of a SQuAD file, of JSON lines, or of plain text (.txt, `edge_qa/evaluation/plain_text.py`).

    A line is an object with `question` and `context`, and optionally `id` (otherwise the line's number from 1),
    `answers` (texts, or objects with `text` and perhaps `answer_start`), `title` and `is_impossible`. Other keys
    are ignored, as in SQuAD.
    The version is v2.0 if a question is marked `is_impossible` or the file calls itself v2.
    Raises InputError if the file cannot be read, is not of this form, repeats an id, or holds no question.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        refuse_pointer(raw, InputError, path)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, remedy="give a SQuAD JSON or JSON lines file"
        ) from error

    examples: list[Example] = []
    places: dict[str, str] = {}  # id -> where it stood
    version: Version = "v1.1"
    for where, example, is_v2 in _questions(path, _decode(path, raw)):
        if example.id in places:
            raise InputError(
                f"id {example.id!r} already stands at {places[example.id]}",
                where=where,
                wanted="one question an id",
                remedy="rename or remove one",
            )
        places[example.id] = where.removeprefix(f"{path}: ")
        examples.append(example)
        if is_v2:
            version = "v2.0"
    if not examples:
        raise InputError(f"holds no question, {_WANTED}", where=path)
    return Dataset(path.name, version, hashlib.sha256(raw).hexdigest(), tuple(examples))


def _decode(path: Path, raw: bytes) -> str:
    if raw.startswith(b"\x1f\x8b"):  # gzip's magic number: names lie, and a download may lose its ending
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"damaged gzip ({error})", where=path, wanted="a whole file", remedy="download it again"
            ) from error
    try:
        return raw.decode("utf-8-sig")  # some editors put a byte order mark, which json refuses
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start}: got 0x{raw[error.start]:02x}",
            where=path,
            wanted="UTF-8",
            remedy="convert it, for example with iconv -t UTF-8",
        ) from error


def _questions(path: Path, text: str) -> Iterator[tuple[str, Example, bool]]:
    """Iterate over where each question stands, the question, and whether it shows the file to be v2.0."""
    if path.name.removesuffix(".gz").endswith(".txt"):
        return _text_questions(path, text)
    try:
        root = _parse(text)
    except json.JSONDecodeError as error:
        return _line_questions(path, text, error)
    if isinstance(root, dict) and "data" in root:
        return _squad_questions(path, root)
    return _line_questions(path, text, None)


def _squad_questions(path: Path, root: dict[str, Any]) -> Iterator[tuple[str, Example, bool]]:
    calls_itself_v2 = str(root.get("version", "")).startswith("v2")  # 1.1 is sometimes a number
    for a, article in enumerate(_get(root, "data", list, str(path))):
        where_article = f"{path}: data[{a}]"
        for p, paragraph in enumerate(_get(article, "paragraphs", list, where_article)):
            where_paragraph = f"{where_article}.paragraphs[{p}]"
            for q, question in enumerate(_get(paragraph, "qas", list, where_paragraph)):
                where = f"{where_paragraph}.qas[{q}]"
                example = Example(
                    id=_get(question, "id", str, where),
                    question=_get(question, "question", str, where),
                    context=sys.intern(_get(paragraph, "context", str, where_paragraph)),
                    answers=_answers(_get(question, "answers", list, where), where),
                    title=_get(article, "title", str, where_article, ""),
                    starts=_starts(question["answers"]),
                )
                yield where, example, _get(question, "is_impossible", bool, where, False) or calls_itself_v2


def _line_questions(path: Path, text: str, whole: json.JSONDecodeError | None) -> Iterator[tuple[str, Example, bool]]:
    """whole: why the text is not one JSON value; None if it is one."""
    first = True
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON text may hold U+2028 as it is
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            row = _parse(line)
        except json.JSONDecodeError as error:
            # The first line of a damaged SQuAD file in many lines tells nothing: the damage is further down.
            cause, at = (whole, whole.lineno) if first and whole else (error, number)
            raise InputError(
                f"line {at}, column {cause.colno}: not JSON ({cause.msg}), {_WANTED}", where=path
            ) from cause
        first = False
        example = Example(
            question=_get(row, "question", str, where),
            id=_get(row, "id", str, where, str(number)),
            # One context often serves many lines: interning keeps it in memory once.
            context=sys.intern(_get(row, "context", str, where)),
            answers=_answers(_get(row, "answers", list, where, []), where),
            title=_get(row, "title", str, where, ""),
            starts=_starts(row.get("answers", [])),
        )
        yield where, example, _get(row, "is_impossible", bool, where, False)


def _text_questions(path: Path, text: str) -> Iterator[tuple[str, Example, bool]]:
    for number, question, passage in read_passages(text, str(path)):
        example = Example(id=str(number), question=question, context=passage, answers=())
        yield f"{path}: line {number}", example, False


def _parse(text: str) -> Any:
    """json.loads, with each of its failures as a JSONDecodeError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; thousands of brackets
        raise json.JSONDecodeError(str(error), text, 0) from error


def _answers(answers: list[Any], where: str) -> tuple[str, ...]:
    return tuple(
        answer if isinstance(answer, str) else _get(answer, "text", str, f"{where}: answers[{i}]")
        for i, answer in enumerate(answers)
    )


def _starts(answers: list[Any]) -> tuple[int, ...]:
    told = (answer.get("answer_start") if isinstance(answer, dict) else None for answer in answers)
    return tuple(start if type(start) is int and start >= 0 else -1 for start in told)


def _get(node: Any, key: str, kind: type[_T], where: str, default: _T | None = None) -> _T:
    """Return node[key]; no default means that the key must be there."""
    if not isinstance(node, dict):
        raise InputError(f"got {_name(node)}", where=where, wanted=f"an object with {key!r}", remedy="correct the file")
    if key not in node:
        if default is None:
            raise InputError(
                f"no {key!r}", where=where, wanted=_NAMES[kind], remedy="add it, or check that this is a SQuAD file"
            )
        return default
    value = node[key]
    if not isinstance(value, kind):
        raise InputError(f"{key!r} is {_name(value)}", where=where, wanted=_NAMES[kind], remedy="correct the file")
    return value


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")
