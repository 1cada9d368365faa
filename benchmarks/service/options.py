"""What the parts are told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """See `python -m benchmarks.service --help`."""

    bundle: Path
    engine: str
    workers: int
    threads: int | None
    batch_tokens: int
    clients: int
    seconds: float
    requests: int
    times: int
    checkpoint: Path | None

    def of_service(self) -> list[str]:
        """Arguments of `edge-qa serve`, beside the bundle."""
        found = ["--engine", self.engine, "--workers", str(self.workers), "--max-batch-tokens", str(self.batch_tokens)]
        return found + ([] if self.threads is None else ["--threads", str(self.threads)])
