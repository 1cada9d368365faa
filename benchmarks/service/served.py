"""A service as a process, with what the kernel knows of it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL_BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 180


class Served:
    """`edge-qa serve`, or another program that says where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
            text: str = response.read().decode()
            return text

    def metric(self, line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def cpu_seconds(self, *, workers: bool = True) -> float:
        """Of the service and, unless told otherwise, its workers that run now."""
        total = 0
        for pid in (self.process.pid, *(self.workers() if workers else ())):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
        return total / _TICKS

    def memory_mb(self, pid: int) -> float:
        """What a process holds in RAM."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def descriptors(self) -> int:
        """How many files and sockets the service has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def tracebacks(self) -> int:
        return self.log.read_text(errors="replace").count("Traceback")


@contextmanager
def served(bundle: Path, *arguments: str, under: tuple[str, ...] = ()) -> Iterator[Served]:
    """A service that is ready; it must exit with 0 afterwards."""
    command = [*under, sys.executable, "-m", "edge_qa", "serve", str(bundle), "--port", "0", *arguments]
    with running(command, "listening on http://127.0.0.1:") as one:
        until_ready(one, "/health")
        yield one
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(60) == 0, one.log.read_text()


@contextmanager
def running(command: list[str], says: str) -> Iterator[Served]:
    """A program that says its port on standard error, after `says`."""
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        log = Path(file.name)
        with subprocess.Popen(command, stderr=file, stdin=subprocess.DEVNULL, cwd=ROOT) as process:
            try:
                end = time.monotonic() + _PATIENCE_S
                while not (found := re.search(re.escape(says) + r"(\d+)", log.read_text(errors="replace"))):
                    if process.poll() is not None or time.monotonic() > end:
                        raise RuntimeError(f"it did not start: {log.read_text()}")
                    time.sleep(0.05)
                yield Served(process, int(found[1]), log)
            finally:
                if process.poll() is None:
                    process.kill()


def until_ready(one: Served, path: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            one.get(path)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("it did not become ready")
