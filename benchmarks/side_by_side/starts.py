"""Cold starts: from the start of a process to its first answer, and what the imports alone take."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.workers import Worker, WorkerError, environment

QUESTION = "Who wrote the first program?"
TEXT = (
    "Ada Lovelace, who had met Charles Babbage in 1833, wrote the first program for his Analytical Engine ten years "
    "later. The engine was never built, so her program, which computes Bernoulli numbers, never ran."
)
_TIMED_IMPORT = "import time; begin = time.perf_counter()\n{code}\nprint('imported:', time.perf_counter() - begin)"
_QUICK_SECONDS = 2.0
_MARKED = re.compile(r"^imported: ([\d.e-]+)$", re.M)


def cold_start(make: Callable[[], Worker]) -> tuple[float, int | None]:
    """Return seconds from process start to the first answer, and the most memory held until then."""
    begin = time.monotonic()
    with make() as worker:
        # Already there when the contender is ready to read it.
        worker.send({"do": "answer", "question": QUESTION, "context": TEXT})
        worker.wait_until_loaded()
        text = worker.receive()["text"]
        seconds = time.monotonic() - begin
        if not text:
            raise WorkerError("answered nothing, wanted a text")
        return seconds, worker.peak_bytes()


def start_in_turns(
    makers: Mapping[str, Callable[[], Worker]], runs: int, failed: dict[str, str]
) -> dict[str, dict[str, list[Any]]]:
    """Return seconds and peaks of `runs` processes of each; one before is not counted: it fills the page cache.

    Of one that starts quickly three times as many are counted: what disturbs a start is the same for all, and
    weighs most on it.
    """
    times: dict[str, int] = {}
    found: dict[str, dict[str, list[Any]]] = {name: {"seconds": [], "peak_bytes": []} for name in makers}
    for number in range(-1, runs):
        for name in list(found) if number % 2 else list(reversed(found)):
            try:
                starts = [cold_start(makers[name]) for _ in range(times.get(name, 1))]
            except WorkerError as error:
                failed[name] = str(error)
                del found[name]
                continue
            if number < 0:
                times[name] = 3 if starts[0][0] < _QUICK_SECONDS else 1
                continue
            for seconds, peak in starts:
                found[name]["seconds"].append(seconds)
                found[name]["peak_bytes"].append(peak)
    return found


def imports_in_turns(codes: Mapping[str, tuple[Path, str]], runs: int, threads: int) -> dict[str, list[float]]:
    """Return seconds of the imports in `runs` fresh processes each; codes: an interpreter and Python code a name."""
    found: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(-1, runs):
        for name, (python, code) in codes.items():
            done = subprocess.run(
                [str(python), "-P", "-c", _TIMED_IMPORT.format(code=code)],
                env=environment(threads),
                capture_output=True,
                text=True,
                check=False,
            )
            # Libraries may print, too.
            seconds = _MARKED.search(done.stdout)
            if number >= 0 and not done.returncode and seconds:
                found[name].append(float(seconds[1]))
    return {name: seconds for name, seconds in found.items() if seconds}
