"""Read question answering data sets: SQuAD JSON, arrays, JSON lines or plain text, gzipped or not."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

from edge_qa.errors import InputError
from edge_qa.evaluation.example import Example, Place
from edge_qa.evaluation.layouts import is_whole, line_places, parse, says_version_2, whole_places
from edge_qa.evaluation.plain_text import read_passages
from edge_qa.evaluation.segmentation import Segmentation, segmentation_for, segmentation_of
from edge_qa.text.decoding import decode_text

__all__ = ["Dataset", "Example", "Version", "read_dataset"]

Version = Literal["v1.1", "v2.0"]  # which of the two official metrics a data set is made for

_WANTED = (
    'wanted one SQuAD object with "data" (https://rajpurkar.github.io/SQuAD-explorer/), '
    'or one {"question": ..., "context": ...} object a line'
)


@dataclass(frozen=True)
class Dataset:
    """A file's examples in file order; iterating over it gives them."""

    name: str  # file name without its folder, so that a report is the same on every machine
    version: Version
    sha256: str  # of the bytes on disk, that is of the gzipped ones where gzipped
    examples: tuple[Example, ...] = field(repr=False)
    segmentation: Segmentation = "squad"  # how the metric compares its answers
    path: str = field(default="", compare=False, repr=False)  # as it was given

    @property
    def where(self) -> str:
        """The file as an error names it: by the path that the user gave."""
        return self.path or self.name

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __len__(self) -> int:
        return len(self.examples)

    def can_score(self, example: Example) -> bool:
        """Whether the metric has something to compare an answer with: a gold answer, or in v2.0 that there is none."""
        return bool(example.answers) or (example.labelled and self.version == "v2.0")


def read_dataset(path: str | PathLike[str], *, language: str | None = None) -> Dataset:
    """Return the questions of a SQuAD file, of an array or lines of JSON, or of plain text (.txt, `plain_text.py`).

    An example is an object with `question` and `context`, and optionally `id` (otherwise its number from 1, the
    line's in JSON lines), `answers` (texts, objects with `text` and perhaps `answer_start`, or one object with a list
    of each), `title` and `is_impossible`. Other keys are ignored, as in SQuAD.
    The version is v2.0 if the file calls itself v2, or a question is marked `is_impossible`, or some questions have
    answers and others an empty list of them.
    language: of the answers, such as "zh", which says how the metric compares them (`segmentation.py`); otherwise the
    texts tell Chinese, Japanese and Thai, and all others are compared as SQuAD does.
    Raises InputError if the file cannot be read, is not of this form, repeats an id, or holds no question.
    """
    path = Path(path)
    asked_for = None if language is None else segmentation_for(language)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, remedy="give a SQuAD JSON or JSON lines file"
        ) from error
    examples: list[Example] = []
    places: dict[str, str] = {}  # id -> where it stood
    calls_itself_v2 = False
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
        calls_itself_v2 = calls_itself_v2 or is_v2
    if not examples:
        raise InputError(f"holds no question, {_WANTED}", where=path)
    has_both = any(one.answers for one in examples) and any(one.labelled and not one.answers for one in examples)
    version: Version = "v2.0" if calls_itself_v2 or has_both else "v1.1"
    segmentation = asked_for or segmentation_of([example.context for example in examples])
    return Dataset(path.name, version, hashlib.sha256(raw).hexdigest(), tuple(examples), segmentation, str(path))


def _decode(path: Path, raw: bytes) -> str:
    if raw.startswith(b"\x1f\x8b"):  # gzip's magic number: names lie, and a download may lose its ending
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"damaged gzip ({error})", where=path, wanted="a whole file", remedy="download it again"
            ) from error
    return decode_text(raw, path).removeprefix("\ufeff")  # some editors put a byte order mark, which json refuses


def _questions(path: Path, text: str) -> Iterator[tuple[str, Example, bool]]:
    """Iterate over where each question stands, the question, and whether it shows the file to be v2.0."""
    source = str(path)
    if path.name.removesuffix(".gz").endswith(".txt"):
        return _text_questions(text, source)
    try:
        root = parse(text)
    except json.JSONDecodeError as error:
        return _json_questions(_places_in_lines(text, source, error))
    if is_whole(root):
        return _json_questions(whole_places(root, source), is_v2=says_version_2(root))
    blank_lines = text[: len(text) - len(text.lstrip())].count("\n")
    return _json_questions(line_places(root, blank_lines + 1, source))


def _json_questions(places: Iterator[Place], *, is_v2: bool = False) -> Iterator[tuple[str, Example, bool]]:
    for place in places:
        yield place.where, place.example(), is_v2 or place.says_impossible


def _places_in_lines(text: str, source: str, whole: json.JSONDecodeError) -> Iterator[Place]:
    """whole: why the text is not one JSON value."""
    first = True
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON text may hold U+2028 as it is
        if not line.strip():
            continue
        try:
            row = parse(line)
        except json.JSONDecodeError as error:
            # The first line of a damaged SQuAD file in many lines tells nothing: the damage is further down.
            cause, at = (whole, whole.lineno) if first else (error, number)
            raise InputError(
                f"line {at}, column {cause.colno}: not JSON ({cause.msg}), {_WANTED}", where=source
            ) from cause
        first = False
        yield from line_places(row, number, source)


def _text_questions(text: str, source: str) -> Iterator[tuple[str, Example, bool]]:
    """Iterate over the questions of plain text, as `_questions` does."""
    for number, question, passage in read_passages(text, source):
        example = Example(id=str(number), question=question, context=passage, answers=(), labelled=False)
        yield f"{source}: line {number}", example, False
