"""What a fresh process costs: the time to its first answer, part by part, and the memory it peaks at."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.errors import InferenceError, ResourceError
from edge_qa.inference.engine_choice import EngineName

# The clock is read before anything is imported: what comes before is the interpreter's start.
_FIRST_STATEMENTS = "import time; begin = time.monotonic(); from edge_qa.bench.first_answer import main; main(begin)"


@dataclass(frozen=True)
class Start:
    """Milliseconds from the start of a process to its first answer; the parts add up to the total.

    hash_ms: reading the bundle and checking every byte. OpenVINO is imported meanwhile and while the
    tokenizer is built; imports_ms holds what that takes longer, and what is imported before.
    first_answer_ms: until the answer was read from the process's output.
    """

    total_ms: float
    interpreter_ms: float
    imports_ms: float
    hash_ms: float
    tokenizer_ms: float
    compile_ms: float
    first_answer_ms: float


@dataclass(frozen=True)
class FreshProcess:
    """One run. peak_bytes: RAM at the first answer; every_length_peak_bytes: after every input length.

    None where the kernel does not tell, or where it was not asked for.
    """

    start: Start
    peak_bytes: int | None
    every_length_peak_bytes: int | None


def run_fresh_process(
    bundle: str | os.PathLike[str],
    question: str,
    context: str,
    *,
    threads: int | None = None,
    budget: str = FULL_BUDGET,
    engine: EngineName = "auto",
    every_length: bool = False,
) -> FreshProcess:
    """Answer one question in a new process of this interpreter, with the same code and environment.

    every_length: afterwards, outside the time, run every input length once for its memory.
    Raises ResourceError if the process was killed, InferenceError if it failed otherwise.
    """
    job = {
        "bundle": os.path.abspath(bundle),
        "threads": threads,
        "budget": budget,
        "engine": engine,
        "question": question,
        "context": context,
        "every_length": every_length,
    }
    command = [sys.executable, "-c", _FIRST_STATEMENTS, json.dumps(job)]
    with tempfile.TemporaryFile() as complaints:
        begin = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=_environment()
        ) as process:
            assert process.stdout is not None
            try:
                answer = process.stdout.readline()
                answered = time.monotonic()
                report = process.stdout.read()
            except BaseException:
                process.kill()  # Ctrl-C must not leave it behind
                raise
        complaints.seek(0)
        errors = complaints.read()
    if process.returncode or not answer:
        raise _failure(str(bundle), process.returncode, errors.decode(errors="replace"))
    told = json.loads(report)
    clock = [told["clock"][step] for step in ("begin", "ready", "hashed", "tokenizer", "imported", "compiled")]
    parts = [(after - before) * 1000 for before, after in pairwise([begin, *clock, answered])]
    interpreter, first_imports, hashing, tokenizer, other_imports, compiling, answer = parts
    start = Start(
        total_ms=(answered - begin) * 1000,
        interpreter_ms=interpreter,
        imports_ms=first_imports + other_imports,
        hash_ms=hashing,
        tokenizer_ms=tokenizer,
        compile_ms=compiling,
        first_answer_ms=answer,
    )
    peaks = told["peak_bytes"]
    return FreshProcess(start, peaks["first_answer"], peaks["every_length"])


def _environment() -> dict[str, str]:
    """This environment, with this very package first on the path, however the parent found it."""
    home = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}


def _failure(bundle: str, code: int, errors: str) -> InferenceError | ResourceError:
    if code < 0:
        return ResourceError(
            f"a fresh process was killed by signal {-code}",
            where=bundle,
            remedy="if the memory ran out, close other programs or use a smaller model",
        )
    lines = [line for line in errors.splitlines() if line.strip()]
    return InferenceError(lines[-1] if lines else f"{bundle}: no answer, exit code {code}", where="in a fresh process")
