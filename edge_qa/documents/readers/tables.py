"""Tables and records: CSV and TSV, whose text is the file itself, and JSON lines, written out as lines of text."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from edge_qa.documents.readers.extracted import Block, Extracted, TextBuilder, one_line, whole_characters
from edge_qa.documents.readers.plain import read_text
from edge_qa.errors import InputError

# What a record calls its title, and how deep a value may lie.
_TITLES = ("title", "name", "heading", "subject")
_DEEPEST = 20
_SNIFFED = 10_000


def read_csv(text: str) -> Extracted:
    """Return a table with commas, semicolons or whatever else separates its columns."""
    first = text[:_SNIFFED].lstrip().split("\n", 1)[0]
    counts = {mark: first.count(mark) for mark in ",;\t|"}
    best = max(counts, key=lambda mark: counts[mark])
    return _table(text, best if counts[best] else ",")


def read_tsv(text: str) -> Extracted:
    """Return a table with tabs between its columns."""
    return _table(text, "\t")


def _table(text: str, delimiter: str) -> Extracted:
    """Rows are blocks, and the first row is the header over each of them."""
    text = whole_characters(text)
    places = [0]

    def lines() -> Iterator[str]:
        for line in _lines_of(text):
            places.append(places[-1] + len(line))
            yield line

    rows = csv.reader(lines(), delimiter=delimiter)
    blocks, header = [], ""
    begin = 0
    try:
        for row in rows:
            end = places[-1]
            stripped = text[begin:end].strip()
            if stripped:
                first = begin + text[begin:end].index(stripped)
                blocks.append(Block(first, first + len(stripped)))
                header = header or one_line(" | ".join(row), 300)
            begin = end
    except csv.Error:
        return read_text(text)
    return Extracted(text, tuple(blocks), header=header)


def _lines_of(text: str) -> Iterator[str]:
    """Yield the lines with their ends. StringIO would take four bytes for each character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def read_json_lines(text: str) -> Extracted:
    """Return each record as text, one passage or more, with the title that it has.

    A record with one long text is that text; of others every value is a line, `name: value`.
    """
    builder = TextBuilder()
    for number, line in enumerate(_lines_of(text), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number} is no JSON ({type(error).__name__})") from None
        title = (
            next((value[key] for key in _TITLES if isinstance(value.get(key), str)), "")
            if isinstance(value, dict)
            else ""
        )
        if title.strip():
            builder.add(one_line(title), level=1, record=True)
        body = "\n".join(_lines(value, "", 0))
        builder.add(body, record=not title.strip())
    return builder.result()


def _lines(value: Any, name: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise InputError(f"holds a record more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            if depth or str(key) not in _TITLES:
                yield from _lines(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _lines(inner, name, depth + 1)
    elif value is not None and str(value).strip():
        text = str(value).strip() if isinstance(value, str) else json.dumps(value)
        # A long text speaks for itself.
        yield text if not name or len(text) > 200 else f"{name}: {text}"
