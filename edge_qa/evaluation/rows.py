"""The questions of a file or a stream one at a time, as they come, those that cannot be read among them."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from edge_qa.errors import InputError
from edge_qa.evaluation.example import Place
from edge_qa.evaluation.layouts import is_whole, line_places, parse, whole_places
from edge_qa.evaluation.plain_text import read_passages
from edge_qa.text.decoding import decode_text, refuse_other_kinds

# How a data set begins that is one JSON value over many lines, or a long one: not as a line of JSON lines does.
_WHOLE = re.compile(rb'\s*(\[|\{\s*$|\{\s*"(data|version)"\s*:)')
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """One question. What cannot be read has an error, and an empty question.

    id: as the file has it, text or a whole number; otherwise the number of its line.
    """

    id: str | int
    question: str = ""
    context: str = ""
    error: str = ""


def stream_rows(stream: IO[bytes], name: str) -> Iterator[Row]:
    """Iterate over the questions of every layout that `read_dataset` reads, JSON lines as they come.

    stream: at its beginning, gzipped or not. name: the file's, which tells plain text by its ending.
    A line that cannot be used is a row with an error. Raises InputError for a file that can be used in no line.
    """
    try:
        yield from _rows(_unpacked(stream, name), name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"damaged gzip ({error})", where=name, wanted="a whole file", remedy="download it again"
        ) from error


def row_of(value: Any, number: int) -> Row:
    """Return the row of one JSON object, the `number`th of its file; its error says what is wrong with it."""
    try:
        (place,) = line_places(value, number)
    except (InputError, ValueError) as error:
        return Row(number, error=str(error))
    return _row(place)


def is_lines(start: bytes) -> bool:
    """Whether a file that begins so is JSON lines or plain text, a question a line at most."""
    return not start.startswith(b"\x1f\x8b") and not _WHOLE.match(start.removeprefix(_MARK).partition(b"\n")[0])


def _unpacked(stream: IO[bytes], name: str) -> io.BufferedReader:
    reader = _peekable(stream)
    if reader.peek(2).startswith(b"\x1f\x8b"):
        reader = _peekable(gzip.GzipFile(fileobj=reader))
    refuse_other_kinds(reader.peek(4096), name)
    return reader


def _peekable(stream: IO[bytes] | gzip.GzipFile) -> io.BufferedReader:
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


def _rows(reader: io.BufferedReader, name: str) -> Iterator[Row]:
    if name.removesuffix(".gz").endswith(".txt"):
        text = decode_text(reader.read(), name).removeprefix("\ufeff")
        yield from (Row(number, question, passage) for number, question, passage in read_passages(text, name))
        return
    for number, line in enumerate(reader, 1):
        if number == 1:
            line = line.removeprefix(_MARK)
            if _WHOLE.match(line.rstrip(b"\r\n")):
                yield from _whole_rows(line + reader.read(), name)
                return
        yield from _line_rows(line, number)


def _whole_rows(content: bytes, name: str) -> Iterator[Row]:
    try:
        root = parse(content)
    except json.JSONDecodeError:
        for number, line in enumerate(content.split(b"\n"), 1):
            yield from _line_rows(line, number)
        return
    try:
        # A row's own place, which may be its id, does not name the file.
        yield from map(_row, whole_places(root) if is_whole(root) else line_places(root, 1))
    except InputError as error:
        where = f"{name}: {error.where}" if error.where else name
        raise InputError(error.got, where=where, wanted=error.wanted, remedy=error.remedy) from None


def _line_rows(line: bytes, number: int) -> Iterator[Row]:
    if not line.strip():
        return
    try:
        yield from map(_row, line_places(parse(line), number))
    except json.JSONDecodeError as error:
        yield Row(number, error=f"line {number}: not JSON ({error})")
    except InputError as error:
        yield Row(number, error=str(error))


def _row(place: Place) -> Row:
    identity: str | int = place.number or place.where
    try:
        identity = place.id
        return Row(identity, *place.asked())
    except InputError as error:
        return Row(identity, error=str(error))
