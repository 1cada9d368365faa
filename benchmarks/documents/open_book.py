"""Recall, EM/F1 and time of questions over all paragraphs of SQuAD, and over the carried documents.

    python -m benchmarks.documents.open_book BUNDLE [--data FOLDER] [--questions 200] [--timed 30] [--output FILE.json]

FOLDER holds train-v1.1.json.gz and dev-v1.1.json.gz; without it only the carried documents are measured. Recall is
the share of questions with a gold answer inside the passages found, from its own paragraph. Times are of the wall
clock; indexing also has the CPU's, for a machine that does other things meanwhile.
"""

import argparse
import gzip
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import describe_machine
from edge_qa import CitedAnswer, DocumentIndex, QuestionAnswerer
from edge_qa.documents.cited_answers import cited_answers
from edge_qa.documents.found import Passage
from edge_qa.evaluation.squad_metric import exact_match, f1

SIZES = (1, 3, 5, 10, 20)
# An expression; getrusage would count the memory of the process that this one was forked from.
PEAK_MB = "int(next(row for row in open('/proc/self/status') if row.startswith('VmHWM')).split()[1]) / 1024"
DOCUMENTS = Path(__file__).resolve().parents[2] / "examples" / "data" / "documents"


@dataclass(frozen=True)
class Asked:
    """A question, its gold answers, and the paragraph or the file that it was asked of."""

    question: str
    answers: tuple[str, ...]
    paragraph: str = ""
    path: str = ""
    kind: str = ""


def main() -> None:
    """Print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--timed", type=int, default=30)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": describe_machine(), "bundle": options.bundle}
    with QuestionAnswerer.load(options.bundle) as qa, tempfile.TemporaryDirectory() as folder:
        qa.warm_up()
        results["documents"] = carried(qa, Path(folder), options.questions)
        if options.data:
            results["squad"] = squad(qa, options, Path(folder))
    text = json.dumps(results, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)


def carried(qa: QuestionAnswerer, folder: Path, count: int) -> dict[str, Any]:
    """The carried documents in one index: EM/F1 by kind of the questions on one document, and of the open ones."""
    index = DocumentIndex.build([DOCUMENTS / "texts"], folder / "carried.db")
    rows = [json.loads(line) for line in (DOCUMENTS / "questions.jsonl").read_text().splitlines()]
    single = [asked_of(row) for row in rows if row["answers"]]
    single = random.Random(0).sample(single, min(count, len(single)))
    rows = [json.loads(line) for line in (DOCUMENTS / "open_questions.jsonl").read_text().splitlines()]
    wide = [asked_of(row) for row in rows if row["answers"]]
    found: dict[str, Any] = {"passages": index.passages()}
    for name, questions in (("questions", single), ("open_questions", wide)):
        found[name] = curve(qa, index, questions, by_kind=name == "questions")
    return found


def asked_of(row: dict[str, Any]) -> Asked:
    """A line of the carried questions."""
    texts = tuple(answer["text"] for answer in row["answers"])
    return Asked(row["question"], texts, path=str(DOCUMENTS / row["document"]), kind=row["kind"])


def squad(qa: QuestionAnswerer, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All paragraphs of train and dev as records with their article's title; questions of dev."""
    records = folder / "records"
    records.mkdir()
    paragraphs = {text: title for name in ("train", "dev") for title, text, _ in articles(options.data, name)}
    lines = (json.dumps({"title": title, "text": text}) for text, title in paragraphs.items())
    (records / "squad.jsonl").write_text("\n".join(lines))
    library = folder / "squad.db"
    # In a process of its own, so that its memory is its own.
    code = (
        "import json, sys, time; from edge_qa import DocumentIndex; begin = time.process_time();"
        "report = DocumentIndex.build([sys.argv[1]], sys.argv[2]).report; cpu = time.process_time() - begin;"
        "print(json.dumps({'bytes': report.bytes_read, 'seconds': report.seconds, 'cpu_seconds': cpu,"
        f"'passages': report.passages, 'peak_mb': {PEAK_MB}}}))"
    )
    made = json.loads(python("-c", code, str(records), str(library)))
    made |= {
        "mb_per_cpu_second": made["bytes"] / 1e6 / made["cpu_seconds"],
        "mb_per_second": made["bytes"] / 1e6 / made["seconds"],
        "library_mb": library.stat().st_size / 1e6,
    }
    asked = [
        Asked(question["question"], tuple(answer["text"] for answer in question["answers"]), text)
        for _, text, questions in articles(options.data, "dev")
        for question in questions
    ]
    index = DocumentIndex.open(library)
    questions = random.Random(0).sample(asked, options.questions)
    found = {"paragraphs": len(paragraphs), "index": made, **curve(qa, index, questions)}
    found["ms"] = {size: milliseconds(qa, index, questions[: options.timed], size) for size in SIZES}
    found["cold_process"] = cold(options.bundle, library, questions[0].question)
    return found


def articles(folder: Path, name: str) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield title, paragraph and questions."""
    with gzip.open(folder / f"{name}-v1.1.json.gz") as file:
        for article in json.load(file)["data"]:
            for paragraph in article["paragraphs"]:
                yield article["title"].replace("_", " "), paragraph["context"], paragraph["qas"]


def curve(
    qa: QuestionAnswerer, index: DocumentIndex, questions: Sequence[Asked], *, by_kind: bool = False
) -> dict[str, Any]:
    """Recall and EM/F1 by how many passages are read, and whether every answer stands where it says."""
    hits = dict.fromkeys(SIZES, 0)
    scores: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
    kinds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    wrong = 0
    for asked in questions:
        passages = index.search(asked.question, limit=max(SIZES))
        held = [any(answer in one.text for answer in asked.answers) and is_of(one, asked) for one in passages]
        # The answer of k passages is the one of highest rank among theirs.
        each = [answer for one in passages for answer in cited_answers(qa, asked.question, [one])]
        for size in SIZES:
            hits[size] += any(held[:size])
            answer = max(each[:size], key=lambda one: one.rank or float("-inf"), default=CitedAnswer("", 0.0, 0, 0))
            best = (
                100.0 * max(exact_match(answer.text, gold) for gold in asked.answers),
                100 * max(f1(answer.text, gold, version="v1.1") for gold in asked.answers),
            )
            scores[size].append(best)
            if size == 10:
                kinds[asked.kind].append(best)
            if answer.source is not None:
                (passage,) = (
                    one
                    for one in passages
                    if (one.file.path, one.start, one.end) == (answer.source.path, *answer.source.passage)
                )
                wrong += passage.text[answer.source.passage_start : answer.source.passage_end] != answer.text
                if asked.path:
                    text = Path(answer.source.path).read_bytes().decode()
                    wrong += text[answer.start : answer.end] != answer.text
    found: dict[str, Any] = {
        "questions": len(questions),
        "recall": {size: round(100 * hits[size] / len(questions), 1) for size in SIZES},
        "em_f1": {size: means(scores[size]) for size in SIZES},
        "answers_not_where_they_say": wrong,
    }
    if by_kind:
        found["em_f1_by_kind_at_10"] = {kind: [*means(rows), len(rows)] for kind, rows in sorted(kinds.items())}
    return found


def is_of(passage: Passage, asked: Asked) -> bool:
    """Whether a passage is of the paragraph or the file that a question was asked of."""
    if asked.path:
        return passage.file.path == asked.path
    body = passage.text.partition("\n\n")[2] or passage.text
    return body[:80] in asked.paragraph or passage.text[-80:] in asked.paragraph


def means(rows: Iterable[tuple[float, float]]) -> list[float]:
    """The mean of each column."""
    return [round(statistics.mean(column), 1) for column in zip(*rows, strict=True)]


def milliseconds(qa: QuestionAnswerer, index: DocumentIndex, questions: Sequence[Asked], size: int) -> dict[str, float]:
    """The median of a question from end to end, and of the search in it."""
    whole, search = [], []
    for asked in questions:
        begin = time.perf_counter()
        index.search(asked.question, limit=size)
        search.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        qa.ask(index, asked.question, passages=size)
        whole.append(time.perf_counter() - begin)
    return {"median": 1000 * statistics.median(whole), "search": 1000 * statistics.median(search)}


def cold(bundle: str, library: Path, question: str) -> dict[str, float]:
    """A process that answers one question: seconds from its start to its end, and its memory."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        python("-m", "edge_qa", "ask", bundle, question, "--documents", str(library))
        seconds.append(time.perf_counter() - begin)
    code = (
        "import sys; from edge_qa import DocumentIndex, QuestionAnswerer;"
        "QuestionAnswerer.load(sys.argv[1]).ask(DocumentIndex.open(sys.argv[2]), sys.argv[3]);"
        f"print({PEAK_MB})"
    )
    return {"seconds": min(seconds), "peak_mb": float(python("-c", code, bundle, str(library), question))}


def python(*arguments: str) -> str:
    """What a Python process prints."""
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
