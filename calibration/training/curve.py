"""How a run goes: loss, speed and scores along its steps."""

import time
from dataclasses import dataclass
from typing import Any

from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None


@dataclass(frozen=True)
class Point:
    """Where a run stands: steps done, mean loss since the point before, tokens a second; scores where measured.

    f1: with unanswerable questions in the data, at the best no-answer threshold.
    """

    step: int
    loss: float
    tokens_per_second: float
    exact_match: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Report:
    """What is told while training: the point, all steps, and the seconds that are left."""

    point: Point
    total: int
    seconds_left: float


class Meter:
    """Sums losses and tokens between two reports, without waiting for the device in between."""

    def __init__(self, done: int, device: torch.device) -> None:
        self.first = self.last = done
        self.zero, self.seconds = torch.zeros((), device=device), 0.0
        self.loss, self.tokens = self.zero, 0
        self.resume()

    def resume(self) -> None:
        """Let the time that a score or a save took not count."""
        self.since = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """What a run that goes on needs to report the same mean loss as one that was never stopped."""
        return {"loss": self.loss.cpu(), "last": self.last}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.loss, self.last = state["loss"].to(self.zero.device), state["last"]

    def add(self, loss: torch.Tensor, tokens: int) -> None:
        """Count a step."""
        self.loss = self.loss + loss
        self.tokens += tokens

    def read(self, done: int) -> tuple[Point, float]:
        """The point, and the seconds of a step over the whole run."""
        loss = float(self.loss) / (done - self.last)
        now = time.perf_counter()
        self.seconds += now - self.since
        point = Point(done, loss, self.tokens / (now - self.since))
        self.loss, self.tokens, self.last, self.since = self.zero, 0, done, now
        return point, self.seconds / (done - self.first)
