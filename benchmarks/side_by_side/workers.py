"""The parent's side of a contender's process: start it, ask it, learn why it failed."""

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

RIVALS = Path(__file__).parent / "rivals"
# Loading may compile a model on a slow machine; no single answer takes longer, and none of many.
TIMEOUT = 600.0
_TIMEOUT_OF_MANY = 10.0


class WorkerError(Exception):
    """A contender could not be run: one line, for its row in the table."""


class Worker:
    """One contender in a process of its own interpreter; idle until it is asked."""

    def __init__(
        self, python: Path, script: str, job: dict[str, Any], *, threads: int, extra: dict[str, str] | None = None
    ) -> None:
        """Start the process; `wait_until_loaded` comes next. extra: environment variables besides."""
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.buffer = b""
        self.process = subprocess.Popen(
            [str(python), str(RIVALS / script), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            env=environment(threads) | (extra or {}),
            # Ctrl-C is for the parent, which then ends its children in order.
            start_new_session=True,
        )

    def wait_until_loaded(self) -> dict[str, Any]:
        """Return what the contender says of itself once it is ready."""
        return self.receive()

    def answer(self, question: str, context: str) -> tuple[float, str]:
        """Return seconds and text."""
        found = self.request({"do": "answer", "question": question, "context": context})
        return found["seconds"], found["text"]

    def answer_many(self, pairs: Sequence[tuple[str, str]]) -> tuple[float, list[str]]:
        """Return seconds and texts of all questions at once, in the contender's own way."""
        self.send({"do": "many", "pairs": pairs})
        found = self.receive(TIMEOUT + _TIMEOUT_OF_MANY * len(pairs))
        return found["seconds"], found["texts"]

    def peak_bytes(self) -> int | None:
        """Return the most memory that the process ever held."""
        return self.request({"do": "memory"})["peak_bytes"]

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return the reply. Raises WorkerError."""
        self.send(message)
        return self.receive()

    def send(self, message: dict[str, Any]) -> None:
        """Send a request whose reply is received later."""
        assert self.process.stdin is not None
        if self.process.stdin.closed:
            raise WorkerError("it was ended before")
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._obituary()) from None

    def receive(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Return the next reply; timeout: in seconds. Raises WorkerError."""
        line = self._line(timeout)
        try:
            reply = json.loads(line)
        except ValueError:
            raise WorkerError(f"got {line[:100]!r} instead of an answer") from None
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def _line(self, timeout: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise WorkerError(f"no answer within {timeout:.0f} s")
            received = os.read(pipe, 1 << 16)
            if not received:
                raise WorkerError(self._obituary())
            self.buffer += received
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def _obituary(self) -> str:
        code = self.process.wait()
        self.complaints.seek(0)
        return why_it_ended(code, self.complaints.read().decode(errors="replace"))

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.complaints.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.process.kill()
        self.close()


def why_it_ended(code: int, complaints: str) -> str:
    """Return one line of why a process ended: how, and the last thing that it complained of."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how}: {lines[-1][:300]}" if lines else how


def environment(threads: int) -> dict[str, str]:
    """What every contender's process gets: the same threads, no network, and none of this process's packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONNOUSERSITE": "1",
    }
