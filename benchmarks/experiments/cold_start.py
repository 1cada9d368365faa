"""From the start of `edge-qa ask` to its printed answer, with and without a folder of compiled models.

python -m benchmarks.experiments.cold_start BUNDLE... [--runs 11]

Every run is a new process; the runs take turns, so that a busy machine slows all alike.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.timing import describe_machine

_QUESTION = "Who wrote the first program?"
_TEXT = (
    "Ada Lovelace, who had met Charles Babbage in 1833, wrote the first program for his Analytical Engine ten years "
    "later. The engine was never built, so her program, which computes Bernoulli numbers, never ran."
)


@dataclass(frozen=True)
class Run:
    """One process: milliseconds to its answer and to its end, CPU time, and the most memory it held."""

    answer_ms: float
    exit_ms: float
    cpu_ms: float
    peak_mb: float


def ask(bundle: str, *options: str) -> tuple[Run, bytes]:
    """Run `edge-qa ask` in a new process; returns what it took and what it printed."""
    command = [sys.executable, "-m", "edge_qa", "ask", bundle, _QUESTION, "--text", _TEXT, *options]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    answer = process.stdout.readline()
    answered = time.perf_counter()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{bundle}: exit code {process.returncode}")
    cpu_ms = (used.ru_utime + used.ru_stime) * 1000
    return Run((answered - begin) * 1000, (ended - begin) * 1000, cpu_ms, used.ru_maxrss * 1024 / 1e6), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        cases = [(bundle, options) for bundle in arguments.bundles for options in ((), ("--cache", cache))]
        answers = {case: ask(case[0], *case[1])[1] for case in cases}  # also fills the page cache, and the folder
        runs: dict[tuple[str, tuple[str, ...]], list[Run]] = {case: [] for case in cases}
        for number in range(arguments.runs):
            for case in cases if number % 2 else reversed(cases):
                run, answer = ask(case[0], *case[1])
                assert answer == answers[case] == answers[case[0], ()]
                runs[case].append(run)
        stored = {entry.name: entry.stat().st_size for entry in os.scandir(cache)}
    print(describe_machine())
    width = max(len(bundle) for bundle in arguments.bundles)
    print(f"{'':{width}}  {'':7}  to the answer, ms          to the end  CPU     peak")
    print(f"{'bundle':{width}}  {'':7}  median  quartiles          ms          ms      MB")
    for (bundle, options), found in runs.items():
        low, median, high = np.percentile([run.answer_ms for run in found], [25, 50, 75])
        exit_ms, cpu_ms, peak_mb = np.median([(run.exit_ms, run.cpu_ms, run.peak_mb) for run in found], axis=0)
        print(
            f"{bundle:{width}}  {'--cache' if options else '':7}  {median:6.0f}  {low:4.0f} to {high:4.0f}       "
            f"{exit_ms:4.0f}        {cpu_ms:4.0f}    {peak_mb:4.0f}"
        )
    print("compiled models:", ", ".join(f"{size / 1e6:.1f} MB" for size in stored.values()))


if __name__ == "__main__":
    main()
