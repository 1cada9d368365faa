"""How much of a text is read for one question: all of it, the likeliest windows, or what a limit allows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from edge_qa.errors import InputError
from edge_qa.progress import Progress, no_progress
from edge_qa.text.bm25 import shortlisted
from edge_qa.text.windows import Window

# Of a timeout: what is ranked is read a second time, up to the last window that is run.
_RANKING_SHARE = 0.5

# How many windows are run: "auto" for four of a long text if nothing else limits the reading, and all of a shorter one.
# Joined articles of SQuAD train, 34 windows each: the answer is in the likeliest four of 90 % of the questions, and F1
# is higher than over more of them, which offer more wrong answers: docs/benchmarks/results/long-texts.json.
Shortlisting = int | Literal["auto"] | None
AUTO_SHORTLIST, LONG_TEXT = 4, 20_000


@dataclass(frozen=True)
class Limits:
    """What ends the reading of a text; None for no limit.

    shortlist: only this many windows are run, those that share most rare words with the question; "auto" for 4 of a
    text of more than 20,000 characters unless another limit is given, and all of a shorter one.
    max_windows: so many are run. timeout: seconds, looked at after each window.
    With a shortlist max_windows leaves the likeliest, and half of the timeout goes to the ranking: what was not
    seen by then is not ranked. At least one window is always read.
    """

    shortlist: Shortlisting = None
    max_windows: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("shortlist", "max_windows"):
            value = getattr(self, name)
            if value not in (None, "auto") and value < 1:
                raise InputError(f"got {value}", where=name, wanted="at least 1")
        if self.timeout is not None and not self.timeout >= 0:
            raise InputError(f"got {self.timeout}", where="timeout", wanted="seconds, 0 or more")

    def shortlist_of(self, context: str) -> int | None:
        """Return how many windows of a text are run, None for all."""
        if self.shortlist != "auto":
            return self.shortlist
        limited = self.max_windows is not None or self.timeout is not None
        long = isinstance(context, str) and len(context) > LONG_TEXT
        return AUTO_SHORTLIST if long and not limited else None


class Reading:
    """A question and its text on their way through the model.

    partial: a limit was reached before the whole text was read; known once the windows have run.
    """

    def __init__(
        self,
        question: str,
        context: str,
        limits: Limits | None = None,
        *,
        progress: Progress = no_progress,
    ) -> None:
        """Begin now, as far as a timeout is concerned.

        progress: told after each window that ran how many characters of the text are read.
        """
        self.question, self.context = question, context
        self.partial = False
        self._limits = limits or Limits()
        self._shortlist = self._limits.shortlist_of(context)
        self._progress = progress
        self._begin = time.monotonic()

    def windows(self, cut: Callable[[str, str], Iterator[Window]]) -> Iterator[Window]:
        """Yield the windows to run; each must have run before the next one is asked for, if there is a timeout.

        cut: cuts the question and the context into all windows; called twice for a shortlist.
        """
        limits, shortlist = self._limits, self._shortlist
        found, most, chosen = cut(self.question, self.context), limits.max_windows, None
        if shortlist is not None:
            count = shortlist if most is None else min(shortlist, most)
            again = cut(self.question, self.context)
            chosen = shortlisted(found, again, count, is_late=lambda: self._is_late(_RANKING_SHARE))
            found, most = chosen.windows, None
            self.partial = not chosen.complete or (count < shortlist and count < chosen.ranked)
        for read, window in enumerate(found, 1):
            yield window
            if window.context_tokens:
                self._progress("read", int(window.offsets[-1, 1]), len(self.context))
            if read == most or self._is_late():
                # Of a shortlist the next one may be far away in the text.
                left = next(found, None) is not None if chosen is None else read < chosen.count
                self.partial = self.partial or left
                return

    def _is_late(self, share: float = 1.0) -> bool:
        timeout = self._limits.timeout
        return timeout is not None and time.monotonic() - self._begin >= share * timeout
