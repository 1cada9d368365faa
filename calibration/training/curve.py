"""How a run goes: loss, speed and scores along its steps."""

import time
from dataclasses import dataclass

from edge_qa.extras import missing_extra

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
        self.begin()

    def begin(self) -> None:
        self.loss, self.tokens, self.since = self.zero, 0, time.perf_counter()

    def add(self, loss: torch.Tensor, tokens: int) -> None:
        self.loss = self.loss + loss
        self.tokens += tokens

    def read(self, done: int) -> tuple[Point, float]:
        """The point, and the seconds of a step over the whole run."""
        loss = float(self.loss) / (done - self.last)
        now = time.perf_counter()
        self.seconds += now - self.since
        self.last = done
        return Point(done, loss, self.tokens / (now - self.since)), self.seconds / (done - self.first)
