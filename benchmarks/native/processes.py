"""Fresh processes: memory, cold start, growth, and what busy neighbours or half a core do to an answer."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUESTION, TEXT = "Who wrote the notes?", "Ada Lovelace wrote the notes in 1843. "
CGROUPS = Path("/sys/fs/cgroup")

# VmHWM is the process's own peak; ru_maxrss would begin with that of the process which started it.
_MEMORY = """
import json, sys, time
begin = time.perf_counter()
bundle, engine, questions, threads = json.loads(sys.argv[1])
from edge_qa import QuestionAnswerer
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))
qa = QuestionAnswerer.load(bundle, engine=engine, threads=threads)
qa.answer({question!r}, {text!r})
told = {{"first_answer_s": time.perf_counter() - begin, "first_mb": status("VmHWM")}}
if questions:
    longest = qa.engine.model.longest_input
    qa.warm_up()
    import numpy as np
    def ask(tokens):
        tokens = qa.engine.padded_length(tokens)
        ids = np.full((1, tokens), 5)
        qa.engine.run({{"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids),
                       "position_ids": np.arange(tokens)[None]}})
    for tokens in range(2, 385):
        ask(tokens)
    told["every_length_mb"] = status("VmHWM")
    before = status("VmRSS")
    for number in range(questions):
        ask(2 + number * 131 % 383)
    told["growth_mb"] = status("VmRSS") - before
print(json.dumps(told))
"""

_ANSWERS = """
import json, sys, time
bundle, engine, threads, seconds = json.loads(sys.argv[1])
from edge_qa import QuestionAnswerer
qa = QuestionAnswerer.load(bundle, engine=engine, threads=threads)
text = {text!r} * 14
qa.answer({question!r}, text)
times, end = [], time.perf_counter() + seconds
while time.perf_counter() < end:
    begin = time.perf_counter()
    qa.answer({question!r}, text)
    times.append(time.perf_counter() - begin)
print(json.dumps(times))
"""


def _run(code: str, *arguments: object, prefix: list[str] | None = None) -> Any:
    """Run code in a process of its own and return what it tells. Raises RuntimeError with its last complaint."""
    filled = code.format(question=QUESTION, text=TEXT)
    command = [*(prefix or []), sys.executable, "-c", filled, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def memory(bundle: Path, engine: str, questions: int, threads: int) -> dict[str, float]:
    """Return MB: VmHWM after the first answer and after every length, and what VmRSS grew by over the questions."""
    return dict(_run(_MEMORY, str(bundle), engine, questions, threads))


def starts(bundle: Path, engine: str, times: int) -> dict[str, float]:
    """Return seconds, the median: `edge-qa ask` from start to end, and Python from the first import to an answer."""
    command = [sys.executable, "-m", "edge_qa", "ask", str(bundle), QUESTION, "--text", TEXT, "--engine", engine]
    whole, inside = [], []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        whole.append(time.perf_counter() - begin)
        inside.append(_run(_MEMORY, str(bundle), engine, 0, None)["first_answer_s"])
    return {"ask_s": statistics.median(whole), "import_to_answer_s": statistics.median(inside)}


def medians(bundle: Path, engine: str, threads: int, seconds: float, prefix: list[str] | None = None) -> float:
    """Return the median milliseconds of an answer in a process of its own."""
    return statistics.median(_run(_ANSWERS, str(bundle), engine, threads, seconds, prefix=prefix)) * 1000


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes computing meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@contextlib.contextmanager
def half_a_core() -> Iterator[list[str]]:
    """Yield a command prefix that runs its process under a quota of half a core. Raises OSError where it cannot."""
    folder = Path(tempfile.mkdtemp(prefix="edge-qa-", dir=CGROUPS))
    try:
        quota = folder / "cpu.max"
        if quota.exists():
            quota.write_text("50000 100000")
        else:
            raise OSError("the cpu controller of cgroup v2 is not given to this process")
        yield ["sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh"]
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
