"""How fast folders are indexed and questions answered, and in what memory. For a machine that does nothing else.

    python -m benchmarks.documents.speed BUNDLE --data FOLDER [--questions 50] [--times 10] [--engine auto]

FOLDER holds train-v1.1.json.gz and dev-v1.1.json.gz. Everything is measured twice: over all paragraphs of SQuAD, and
over `times` as many, each repeated in a file of its own with other names in it. Every number is of a process of its
own. The results go into docs/benchmarks/results/documents.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.documents.questions import DOCUMENTS, articles, squad
from benchmarks.documents.results import Measurement, store
from edge_qa.inference.engine_choice import ENGINES

SIZES = (1, 3, 5, 10, 20)
# Of text of one format: enough that opening the index counts for nothing.
FORMAT_BYTES = 20_000_000
# An expression; getrusage would count the memory of the process that this one was forked from.
PEAK_MB = "int(next(row for row in open('/proc/self/status') if row.startswith('VmHWM')).split()[1]) / 1024"
INDEX = f"""
import json, sys, time
from edge_qa import DocumentIndex
begin, wall = time.process_time(), time.perf_counter()
report = DocumentIndex.build([sys.argv[1]], sys.argv[2]).report
spent = time.process_time() - begin, time.perf_counter() - wall
print(json.dumps(dict(bytes=report.bytes_read, cpu=spent[0], wall=spent[1], passages=report.passages, peak={PEAK_MB})))
"""
ASK = f"""
import json, sys, time
from edge_qa import DocumentIndex, QuestionAnswerer
index = DocumentIndex.open(sys.argv[2])
qa = QuestionAnswerer.load(sys.argv[1], engine=sys.argv[3])
qa.warm_up()
questions = json.loads(sys.stdin.read())
rows = {{}}
for size in map(int, sys.argv[4].split(",")):
    rows[size] = [], []
    for question in questions:
        begin = time.perf_counter()
        index.search(question, limit=size)
        middle = time.perf_counter()
        qa.ask(index, question, passages=size, min_confidence=0)
        rows[size][0].append(middle - begin)
        rows[size][1].append(time.perf_counter() - middle)
print(json.dumps(dict(rows=rows, peak={PEAK_MB})))
"""


def main() -> None:
    """Measure, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    options = parser.parse_args()
    command = (
        f"python -m benchmarks.documents.speed {Path(options.bundle).name} --data SQUAD_FOLDER "
        f"--questions {options.questions} --times {options.times} --engine {options.engine}"
    )
    questions = [asked.question for asked in squad(options.data, "dev", options.questions, seed=0)]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store([Measurement(*FORMATS, list(of_formats(work)), command)])
        made, asked = [], []
        for times in (1, options.times):
            records, library = work / f"records-{times}", work / f"squad-{times}.db"
            paragraphs = write_repeated(options.data, records, times)
            one = measured(INDEX, str(records), str(library))
            made.append(index_row(f"{paragraphs:,} paragraphs", one, library))
            asked += ask_rows(f"{paragraphs:,}", options, library, questions)
        store([Measurement(*GROWTH, made, command), Measurement(*QUESTIONS, asked, command)])


FORMATS = (
    "Indexing by format",
    "The carried documents of each format, repeated up to 20 MB, in files of their own size.",
    ("format", "MB", "MB a second of CPU", "MB a second", "peak memory, MB"),
)
GROWTH = (
    "Indexing many paragraphs",
    "All paragraphs of SQuAD as JSON lines, and ten times as many.",
    ("indexed", "MB", "MB a second of CPU", "MB a second", "peak memory, MB", "index, MB"),
)
QUESTIONS = (
    "A question over many paragraphs",
    "Median of questions of SQuAD dev, one after the other, with the model loaded; `from the start`: a process that "
    "answers one question from ten passages, from its start to its end, best of three.",
    ("paragraphs", "passages read", "search, ms", "whole, ms", "from the start, s", "peak memory, MB"),
)


def write_repeated(data: Path, folder: Path, times: int) -> int:
    """Write all paragraphs `times` times, the copies with words of their own; return how many there are."""
    paragraphs = {text: title for name in ("train", "dev") for title, text, _ in articles(data, name)}
    folder.mkdir()
    for copy in range(times):
        # Each copy says in which year of which series it was printed: no two passages are alike.
        lines = (
            json.dumps(
                {"title": title, "text": text if not copy else f"{text} Printed in series {copy}, sheet {sheet}."}
            )
            for sheet, (text, title) in enumerate(paragraphs.items())
        )
        (folder / f"{copy}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return times * len(paragraphs)


def of_formats(work: Path) -> Iterable[list[str]]:
    """A row for each format of the carried documents."""
    by_format: dict[str, list[bytes]] = {}
    for path in sorted((DOCUMENTS / "texts").rglob("*.*")):
        by_format.setdefault(path.suffix, []).append(path.read_bytes())
    rates = []
    for suffix, texts in by_format.items():
        folder = work / f"format{suffix}"
        folder.mkdir()
        written = number = 0
        while written < FORMAT_BYTES:
            text = texts[number % len(texts)]
            (folder / f"{number}{suffix}").write_bytes(text)
            written, number = written + len(text), number + 1
        one = measured(INDEX, str(folder), str(work / f"format{suffix}.db"))
        rates.append((one["bytes"] / 1e6 / one["cpu"], one["bytes"] / 1e6 / one["wall"]))
        yield [suffix, *index_row(suffix, one)[1:]]
    yield ["mean", "", *(f"{statistics.mean(column):.1f}" for column in zip(*rates, strict=True)), ""]


def index_row(what: str, one: dict[str, Any], library: Path | None = None) -> list[str]:
    """What indexing took, as a row."""
    size = one["bytes"] / 1e6
    row = [what, f"{size:.1f}", f"{size / one['cpu']:.1f}", f"{size / one['wall']:.1f}", f"{one['peak']:.0f}"]
    return row if library is None else [*row, f"{library.stat().st_size / 1e6:.0f}"]


def ask_rows(paragraphs: str, options: argparse.Namespace, library: Path, questions: list[str]) -> Iterable[list[str]]:
    """A row for each number of passages."""
    found = measured(
        ASK, options.bundle, str(library), options.engine, ",".join(map(str, SIZES)), stdin=json.dumps(questions)
    )
    for size, (search, whole) in found["rows"].items():
        row = [paragraphs, size, *(f"{1000 * statistics.median(each):.1f}" for each in (search, whole))]
        cold = min(seconds_from_the_start(options, library, questions[0]) for _ in range(3)) if size == "10" else None
        yield [*row, "" if cold is None else f"{cold:.2f}", f"{found['peak']:.0f}" if cold is not None else ""]


def seconds_from_the_start(options: argparse.Namespace, library: Path, question: str) -> float:
    """A process that answers one question."""
    begin = time.perf_counter()
    run = [sys.executable, "-m", "edge_qa", "ask", options.bundle, question, "--documents", str(library)]
    subprocess.run([*run, "--engine", options.engine], check=True, capture_output=True)
    return time.perf_counter() - begin


def measured(code: str, *arguments: str, stdin: str = "") -> dict[str, Any]:
    """What a Python process prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
