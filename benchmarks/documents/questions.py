"""Questions over all paragraphs of SQuAD, and over the carried documents, and whether a passage is the right one."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_qa import DocumentIndex
from edge_qa.documents.found import Passage

DOCUMENTS = Path(__file__).resolve().parents[2] / "examples" / "data" / "documents"


@dataclass(frozen=True)
class Asked:
    """A question, its gold answers, and the paragraph or the file that it was asked of."""

    question: str
    answers: tuple[str, ...]
    paragraph: str = ""
    path: str = ""
    kind: str = ""


def carried(name: str) -> list[Asked]:
    """The questions of a file of the carried documents that have an answer."""
    rows = [json.loads(line) for line in (DOCUMENTS / name).read_text(encoding="utf-8").splitlines()]
    return [
        Asked(
            row["question"],
            tuple(answer["text"] for answer in row["answers"]),
            path=str(DOCUMENTS / row["document"]),
            kind=row["kind"],
        )
        for row in rows
        if row["answers"]
    ]


def squad(folder: Path, name: str, count: int, seed: int) -> list[Asked]:
    """Questions of one part of SQuAD 1.1, drawn at random."""
    asked = [
        Asked(question["question"], tuple(answer["text"] for answer in question["answers"]), text)
        for _, text, questions in articles(folder, name)
        for question in questions
    ]
    return random.Random(seed).sample(asked, min(count, len(asked)))


def articles(folder: Path, name: str) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield title, paragraph and questions."""
    with gzip.open(folder / f"{name}-v1.1.json.gz") as file:
        for article in json.load(file)["data"]:
            for paragraph in article["paragraphs"]:
                yield article["title"].replace("_", " "), paragraph["context"], paragraph["qas"]


def write_records(folder: Path, records: Path) -> int:
    """Write all paragraphs of train and dev as JSON lines, each with its article's title; return how many."""
    paragraphs = {text: title for name in ("train", "dev") for title, text, _ in articles(folder, name)}
    records.mkdir()
    lines = (json.dumps({"title": title, "text": text}) for text, title in paragraphs.items())
    (records / "squad.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return len(paragraphs)


def squad_library(folder: Path, work: Path) -> DocumentIndex:
    """The index of all paragraphs, made in `work`."""
    write_records(folder, work / "records")
    return DocumentIndex.build([work / "records"], work / "squad.db")


def is_of(passage: Passage, asked: Asked) -> bool:
    """Whether a passage is of the paragraph or the file that a question was asked of."""
    if asked.path:
        return passage.file.path == asked.path
    body = passage.text.partition("\n\n")[2] or passage.text
    return body[:80] in asked.paragraph or passage.text[-80:] in asked.paragraph


def holds(passage: Passage, asked: Asked) -> bool:
    """Whether a passage is of the right place and has an answer in it."""
    return is_of(passage, asked) and any(answer in passage.text for answer in asked.answers)
