"""Write training data for a model that knows when there is no answer.

python -m benchmarks.experiments.doubt train-v1.1.json.gz OUT.jsonl [SCALE]

A tenth of the articles is left out, to choose by; their titles hash to 0 modulo 10. What is written: questions with
their passages, some of them laid out as documents or among other passages; the same changed into unanswerable ones
(another name or year, the sentence with the answer removed, other passages of the article); and invented documents.
`edge-qa train --recipe finetune --no-answer 0.8 --negatives retrieved` adds partners by retrieval to the plain ones.
SCALE: 1 by default, about 32,000 windows of training with those partners.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiments.doubt.changes import asked_wrong, laid_out, less_said, names_in, part_of, without_answer
from benchmarks.experiments.doubt.documents import documents
from calibration.data.answered_windows import told_places
from edge_qa import read_dataset
from edge_qa.evaluation.dataset import Dataset, Example

Row = dict[str, Any]
# So many questions of each kind.
PLAIN, LAID_OUT, JOINED, REMOVED, WRONG = 9_000, 2_500, 600, 1_800, 2_600
# Invented documents, and how many questions each is asked, with an answer and without.
DOCUMENTS, ASKED = 1_700, (3, 2)
# Of the passages so many are cut to the sentences around the answer, which has as much to teach for half of the time.
CUT, WORDS = 0.85, 40


def held_out(title: str) -> bool:
    """Whether an article is left out of the training."""
    return int(hashlib.sha256(title.encode()).hexdigest(), 16) % 10 == 0


def rows(data: Dataset, scale: float, seed: int = 0) -> Iterator[Row]:
    """Yield the questions, one a row."""
    random = np.random.default_rng(seed)
    examples = [example for example in data if not held_out(example.title) and told_places(example)]
    passages: dict[str, dict[str, None]] = defaultdict(dict)
    names: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        passages[example.title][example.context] = None
        names[example.title] += names_in(example.question)
    articles = {title: list(texts) for title, texts in passages.items()}

    def drawn() -> Iterator[Example]:
        for place in random.permutation(len(examples)).tolist():
            yield part_of(examples[place], WORDS) if random.random() < CUT else examples[place]

    order = drawn()
    for _ in range(round(PLAIN * scale)):
        example = next(order)
        asked = less_said(example, random) if random.random() < 0.1 else example.question
        yield _row(example, asked, example.context, told_places(example)[0], example.title)
    order = drawn()
    count = 0
    for example in order:
        made = _laid_out(example, random)
        if made is not None:
            yield made
            count += 1
        if count >= LAID_OUT * scale:
            break
    for _ in range(round(JOINED * scale)):
        yield _joined(next(order), articles, random)
    for total, change in (
        (REMOVED, without_answer),
        (WRONG, lambda example: asked_wrong(example, names[example.title], random)),
    ):
        count = 0
        for example in drawn():
            changed = change(example)
            if changed is None:
                continue
            if random.random() < 0.25:
                relaid = laid_out(changed["context"], -1, 0, random)
                changed["context"] = relaid[0] if relaid else changed["context"]
            yield changed
            count += 1
            if count >= total * scale:
                break
    yield from documents(random, round(DOCUMENTS * scale), ASKED)


def _row(example: Example, question: str, context: str, place: tuple[int, int], title: str) -> Row:
    answers = [{"text": context[place[0] : place[1]], "answer_start": place[0]}]
    return {"question": question, "context": context, "answers": answers, "title": title}


def _laid_out(example: Example, random: np.random.Generator) -> Row | None:
    (start, end), *_ = told_places(example)
    made = laid_out(example.context, start, end - start, random)
    if made is None:
        return None
    text, place = made
    return _row(example, example.question, text, (place, place + end - start), "changed")


def _joined(example: Example, articles: dict[str, list[str]], random: np.random.Generator) -> Row:
    """One to three passages of the article with the right one among them, or without it, and then with no answer."""
    answers = example.answers
    texts = [
        text
        for text in articles[example.title]
        if text != example.context and len(text) < 900 and not any(answer in text for answer in answers)
    ]
    chosen = [texts[place] for place in random.permutation(len(texts))[: int(random.integers(1, 3))].tolist()]
    if random.random() < 0.4 and chosen:
        context = "\n\n".join(chosen)
        return {
            "question": example.question,
            "context": context,
            "answers": [],
            "is_impossible": True,
            "title": "changed",
        }
    chosen.insert(int(random.integers(len(chosen) + 1)), example.context)
    context = "\n\n".join(chosen)
    first = context.index(example.context)
    start, end = told_places(example)[0]
    return _row(example, example.question, context, (first + start, first + end), "changed")


def write(data: Path, out: Path, scale: float) -> dict[str, int]:
    """Write the file and return what is in it."""
    made: Sequence[Row] = list(rows(read_dataset(data), scale))
    with out.open("w", encoding="utf-8") as file:
        for number, row in enumerate(made):
            for answer in row["answers"]:
                start = answer["answer_start"]
                assert row["context"][start : start + len(answer["text"])] == answer["text"]
            file.write(json.dumps({"id": str(number), **row}, ensure_ascii=False) + "\n")
    return {"answered": sum(bool(row["answers"]) for row in made), "without": sum(not row["answers"] for row in made)}


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 1.0))
