"""Plain text -> questions with their passages, for whoever has texts and no data set.

The bridge over the Seine was opened in 1900.
Its four gilt statues stand 17 metres high.
Q: When was the bridge opened?
Q: How high are the statues?

The next passage begins after a blank line.
Q: Where does the next passage begin?
"""

import re
from collections.abc import Iterator

from edge_qa.errors import InputError

_MARK = "Q:"
_FORMAT = f'wanted passages with blank lines between them, each with its questions in lines that begin with "{_MARK}"'


def read_passages(text: str, where: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line of the question, question, passage) for each question of a text; `where` names the file in errors.

    Lines are counted from 1. A passage keeps its line breaks.
    Raises InputError, with the line, for a passage without questions, questions without a passage and
    a question without words.
    """
    for first, lines in _blocks(text):
        questions = [
            (number, line.lstrip()[len(_MARK) :].strip()) for number, line in lines if line.lstrip().startswith(_MARK)
        ]
        passage = "\n".join(line for _, line in lines if not line.lstrip().startswith(_MARK))
        if not questions:
            raise InputError(f"line {first}: a passage without a question, {_FORMAT}", where=where, remedy="add one")
        if not passage:
            raise InputError(
                f"line {first}: a question without a passage, {_FORMAT}", where=where, remedy="put the text above it"
            )
        for number, question in questions:
            if not question:
                raise InputError(
                    f'line {number}: nothing stands behind "{_MARK}", {_FORMAT}', where=where, remedy="write it"
                )
            yield number, question, passage


def _blocks(text: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Blocks of lines without a blank one: the number of the first, and the numbered lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block[0][0], block
            block = []
    if block:
        yield block[0][0], block
