"""Where the time of a question goes: cutting it into windows, inference, and the rest."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from edge_qa.inference.batching import LogitsSource
from edge_qa.inference.spans import Logits
from edge_qa.text.windows import Window

Item = TypeVar("Item")


class Stopwatch:
    """Seconds spent since it was made, while `select_many` runs with what `windows` and `engine` return."""

    def __init__(self) -> None:
        self.tokenizing = 0.0
        self.inference = 0.0

    def windows(self, cut: Callable[[Item], Iterator[Window]]) -> Callable[[Item], Iterator[Window]]:
        """Return `cut`, timed."""

        def timed(item: Item) -> Iterator[Window]:
            begin = time.perf_counter()
            for window in cut(item):
                self.tokenizing += time.perf_counter() - begin
                yield window
                begin = time.perf_counter()
            self.tokenizing += time.perf_counter() - begin

        return timed

    def engine(self, engine: LogitsSource) -> LogitsSource:
        """Return the engine, timed."""
        return _TimedEngine(engine, self)


class _TimedEngine:
    def __init__(self, engine: LogitsSource, watch: Stopwatch) -> None:
        self._engine, self._watch = engine, watch

    def logits(self, windows: Sequence[Window], *, batch_size: int = 1) -> tuple[list[Logits], list[Logits]]:
        begin = time.perf_counter()
        try:
            return self._engine.logits(windows, batch_size=batch_size)
        finally:
            self._watch.inference += time.perf_counter() - begin
