"""Damage manifests, models, tokenizers, checkpoints and data, and see that each is told in one line.

python -m tests.fuzz [--count 20000] [--seed 0] [--jobs 2] [--only NUMBER]

Many mutations share a process. One that dies or does not answer is counted, and another goes on behind it.
"""

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_SECONDS = 10
# On a machine that is busy with other things ten seconds are not ten seconds of work.
_LONGEST_WAIT_SECONDS = 60
_ROOT = Path(__file__).resolve().parents[2]
_ADDRESS_BYTES = 12 * 2**30


@dataclass
class Report:
    """What became of the mutations; failures: number, target, and what happened."""

    done: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    failures: list[tuple[int, str, str]] = field(default_factory=list)


def fuzz(count: int, *, seed: int = 0, jobs: int = 2) -> Report:
    """Do `count` mutations; the same seed gives the same ones."""
    report, lock = Report(), threading.Lock()
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda job: _do(range(job, count, jobs), seed, report, lock), range(jobs)))
    report.failures.sort()
    return report


def _do(numbers: range, seed: int, report: Report, lock: threading.Lock) -> None:
    """Hand numbers to a process until all are done; begin another where one ends."""
    left = list(reversed(numbers))
    while left:
        command = [sys.executable, "-m", "tests.fuzz", "--work", "--seed", str(seed)]
        with subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(process.stderr.read())
            while left:
                number = left.pop()
                answered = threading.Event()
                watchdog = threading.Thread(target=_watch, args=(process, answered, late := []), daemon=True)
                watchdog.start()
                try:
                    print(number, file=process.stdin, flush=True)
                    line = process.stdout.readline()
                except BrokenPipeError:
                    line = ""
                answered.set()
                with lock:
                    if not line:
                        process.kill()
                        what = process.stderr.read()[-1500:]
                        ended = f"no answer in {LONGEST_SECONDS} s" if late else f"died ({process.wait()})"
                        report.failures.append((number, "?", f"{ended}\n{what}"))
                        print(f"mutation {number} of seed {seed}: {ended}", file=sys.stderr, flush=True)
                        break
                    told = json.loads(line)
                    report.done[told["target"]] += 1
                    report.refused += told["refused"]
                    if told["trace"]:
                        report.failures.append((number, told["target"], told["trace"]))
                if told["last"]:
                    break
            process.stdin.close()


def _watch(process: "subprocess.Popen[str]", answered: threading.Event, late: list[bool]) -> None:
    """Kill a process that works for too long on one mutation, or waits for something that does not come."""
    used, begin = _cpu_seconds(process.pid), time.monotonic()
    while not answered.wait(1):
        waited = time.monotonic() - begin
        if waited > _LONGEST_WAIT_SECONDS or _cpu_seconds(process.pid) - used > LONGEST_SECONDS:
            late.append(True)
            process.kill()
            return


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def work(seed: int) -> None:
    """Do the mutations whose numbers come in, and print what became of each."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from edge_qa.errors import EdgeQAError
    from edge_qa.inference.engine import failed_before
    from tests.fuzz.targets import Targets

    # Whatever prints to standard output must not be taken for a report.
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    targets = Targets()
    try:
        print("ready", file=reports, flush=True)
        for line in sys.stdin:
            number, refused, trace = int(line), False, ""
            try:
                targets.run(seed, number)
            except (EdgeQAError, MemoryError):
                refused = True
            except BaseException:  # a panic is none of Python's
                trace = traceback.format_exc()
            told = {"target": targets.name(seed, number), "refused": refused, "trace": trace, "last": failed_before()}
            print(json.dumps(told), file=reports, flush=True)
            if failed_before():
                break
    finally:
        targets.remove()


def main() -> None:
    """Print the counts; exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, help="do this one, in this process, with its traceback")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.seed)
        return
    if options.only is not None:
        from tests.fuzz.targets import Targets

        targets = Targets()
        try:
            print(targets.name(options.seed, options.only))
            targets.run(options.seed, options.only)
        finally:
            targets.remove()
        return
    begin = time.monotonic()
    report = fuzz(options.count, seed=options.seed, jobs=options.jobs)
    for number, target, what in report.failures[:20]:
        print(f"--- mutation {number} of seed {options.seed}, {target}\n{what}")
    seconds = time.monotonic() - begin
    total = ", ".join(f"{name} {count}" for name, count in sorted(report.done.items()))
    print(
        f"{options.count} mutations ({total}) in {seconds:.0f} s: {report.refused} refused in one line, "
        f"{len(report.failures)} failures"
    )
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
