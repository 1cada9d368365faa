"""Questions and contexts -> the columns of an answer, in the Open Inference Protocol's types."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError

Column = NDArray[Any]


def answer_columns(
    answerer: QuestionAnswerer, questions: Sequence[str | bytes], contexts: Sequence[str | bytes]
) -> dict[str, Column]:
    """Answer each question in the context at its place; return the columns, (questions,) each.

    answer: text, as objects. score, and confidence where the bundle has one: float64. start, end: int64, code points.
    Raises InputError, with the place, for what is no UTF-8, blank, or as many questions as contexts it is not.
    """
    texts = {"question": _texts(questions, "question"), "context": _texts(contexts, "context")}
    if len(texts["question"]) != len(texts["context"]):
        raise InputError(
            f"got {len(texts['question'])} questions and {len(texts['context'])} contexts",
            wanted="as many of one as of the other",
        )
    for name, values in texts.items():
        for place, value in enumerate(values):
            if not value or value.isspace():
                raise InputError("is blank", where=f"{name}[{place}]", remedy="give some text")
    answers = answerer.answer_many(zip(texts["question"], texts["context"], strict=True))
    columns: dict[str, Column] = {
        "answer": np.array([answer.text for answer in answers], dtype=object),
        "score": np.array([answer.score for answer in answers], dtype=np.float64),
    }
    if answerer.manifest.confidence is not None:
        columns["confidence"] = np.array([answer.confidence for answer in answers], dtype=np.float64)
    columns["start"] = np.array([answer.start for answer in answers], dtype=np.int64)
    columns["end"] = np.array([answer.end for answer in answers], dtype=np.int64)
    return columns


def _texts(values: Sequence[str | bytes], name: str) -> list[str]:
    found = []
    for place, value in enumerate(values):
        try:
            found.append(value.decode() if isinstance(value, bytes) else value)
        except UnicodeDecodeError as error:
            raise InputError(f"is no UTF-8 ({error.reason} at byte {error.start})", where=f"{name}[{place}]") from None
    return found


def packed_texts(texts: Iterable[str]) -> bytes:
    """Return texts as the protocol packs BYTES: each behind its length, 4 bytes, little endian."""
    return b"".join(struct.pack("<I", len(data)) + data for data in (text.encode() for text in texts))


def unpacked_texts(data: bytes, name: str) -> list[bytes]:
    """Return the elements of packed BYTES. Raises InputError where a length leads past the end."""
    found, place = [], 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "little")
        place += 4
        if place + length > len(data):
            raise InputError("is no packed BYTES: a length leads past the end", where=name)
        found.append(data[place : place + length])
        place += length
    return found
