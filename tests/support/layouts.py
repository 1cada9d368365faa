"""One text and two questions in each layout of a data set that is met in the world."""

import json
from pathlib import Path

from edge_qa.evaluation.dataset import Example

FERRY = "The ferry to Marlow Island leaves at 9:30 from pier 4. It costs 12 euros."
WHEN, MUCH = "When does the ferry leave?", "How much does it cost?"
EXAMPLES = (
    Example("0", WHEN, FERRY, ("9:30",), starts=(37,)),
    Example("1", MUCH, FERRY, ("12 euros",), starts=(64,)),
)


def flat(**changes) -> list[dict]:
    """The two questions as examples of their own; changes: of both."""
    return [
        {
            "id": example.id,
            "context": FERRY,
            "question": example.question,
            "answers": [{"text": example.answers[0], "answer_start": example.starts[0]}],
            **changes,
        }
        for example in EXAMPLES
    ]


def nested(version: object = "1.1", title: object = "", **changes) -> dict:
    """The two questions as SQuAD has them; a change that is a function is called with the question."""
    questions = [{key: value for key, value in one.items() if key != "context"} for one in flat()]
    for one in questions:
        one |= {key: value(one) if callable(value) else value for key, value in changes.items()}
    return {"version": version, "data": [{"title": title, "paragraphs": [{"context": FERRY, "qas": questions}]}]}


def columnar(answers: list[dict]) -> dict:
    return {key: [answer[key] for answer in answers] for key in ("text", "answer_start")}


def lines(rows: list[object]) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


LAYOUTS = {
    "SQuAD": nested(),
    "SQuAD, integer ids": nested(id=lambda one: int(one["id"])),
    "SQuAD, null titles and marks": nested(title=None, is_impossible=None),
    "SQuAD, columns of answers": nested(answers=lambda one: columnar(one["answers"])),
    "SQuAD, flat": {"version": "0.1.0", "data": flat()},
    "SQuAD, paragraphs without articles": {"data": nested()["data"][0]["paragraphs"]},
    "array of examples": flat(),
    "array of examples, null title": flat(title=None),
    "array of paragraphs": nested()["data"][0]["paragraphs"],
    "array of articles": nested()["data"],
    "lines": lines(flat()),
    "lines, integer ids": lines([{**row, "id": int(row["id"])} for row in flat()]),
    "lines, columns of answers": lines([{**row, "answers": columnar(row["answers"])} for row in flat()]),
    "lines, a blank one": lines(flat()).replace("\n", "\n \n\n"),
    "lines of paragraphs": lines(nested()["data"][0]["paragraphs"]),
    "one example over many lines": json.dumps(flat()[0], indent=1),
}


def write(folder: Path, content: object, name: str = "data.json") -> Path:
    """content: bytes as they are, text in UTF-8, anything else as JSON."""
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
