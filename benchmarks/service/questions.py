"""Questions with texts of mixed lengths, and the answers that one answerer gives to them, one by one."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.service.options import Options
from benchmarks.service.served import ROOT
from edge_qa import Answer, QuestionAnswerer

_QUESTIONS = ROOT / "examples" / "data" / "questions.json"
POOL = 300


@dataclass(frozen=True)
class Asked:
    """A question, its request, and the answer that is right. Fields of the answer as the service names them."""

    question: str
    context: str
    answer: dict[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps({"inputs": {"question": self.question, "context": self.context}}).encode()


def mixed_pairs(count: int = POOL, seed: int = 1) -> list[tuple[str, str]]:
    """Three in ten texts are one sentence, six a paragraph, one three paragraphs."""
    draw = random.Random(seed)
    rows = json.loads(_QUESTIONS.read_text())["data"]
    paragraphs = [paragraph for row in rows for paragraph in row["paragraphs"]]
    pairs = []
    for _ in range(count):
        paragraph = draw.choice(paragraphs)
        asked, text = draw.choice(paragraph["qas"])["question"], paragraph["context"]
        kind = draw.random()
        if kind < 0.3:
            text = draw.choice([sentence for sentence in text.split(". ") if sentence.strip()])
        elif kind > 0.9:
            text = "\n\n".join([text, *(other["context"] for other in draw.choices(paragraphs, k=2))])
        pairs.append((asked, text))
    return pairs


def answerer(options: Options, bundle: Path | None = None) -> QuestionAnswerer:
    """The answerer that a worker has, by itself."""
    return QuestionAnswerer.load(bundle or options.bundle, engine=options.engine, threads=options.threads)


def serial(pairs: list[tuple[str, str]], alone: QuestionAnswerer) -> list[Asked]:
    """Ask one by one."""
    return [Asked(*pair, fields_of(alone.answer(*pair))) for pair in pairs]


def fields_of(answer: Answer) -> dict[str, Any]:
    """An answer as the service writes it."""
    names = ("score", "start", "end", "confidence", "question_truncated")
    return {"answer": answer.text} | {name: getattr(answer, name) for name in names}
