"""What every contender does around its own calls; imported by programs of other environments, so of the stdlib alone.

A job is a JSON file: {"paragraphs": [{"title", "text"}], "questions": [text], "passages": how many to read, "model":
path, "threads": cores}. A contender makes its index, answers one question to warm up and then each of them, and prints
{"answers", "ms", "index_s", "peak_mb"} as its last line.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[str], str]


def run(prepare: Callable[[dict[str, Any]], Answer]) -> None:
    """Do the job. prepare: makes the index of a job and returns what answers a question."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    begin = time.perf_counter()
    answer = prepare(job)
    index_s = time.perf_counter() - begin
    answer(job["questions"][0])
    answers, milliseconds = [], []
    for question in job["questions"]:
        begin = time.perf_counter()
        answers.append(answer(question))
        milliseconds.append(1000 * (time.perf_counter() - begin))
    print(json.dumps({"answers": answers, "ms": milliseconds, "index_s": index_s, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process had; getrusage would count that of the one it was forked from."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return int(next(row for row in status if row.startswith("VmHWM")).split()[1]) / 1024


def titled(paragraph: dict[str, str]) -> str:
    """What every contender indexes and reads: the title over the paragraph, as edge-qa has it."""
    return f"{paragraph['title']}\n\n{paragraph['text']}"
