"""Requests that wait for a worker: a bounded queue, and the batches that are taken out of it."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from edge_qa.service.workers.messages import Ask, Questions, Result

# Characters of a token, where a batch is put together before anything is tokenized; a guess that only decides how
# many requests travel together.
_CHARACTERS_PER_TOKEN = 4
# Tokens of the passages that a question to documents reads, by the same guess.
_TOKENS_PER_ASK = 2048
_LONGEST_RETRY_S = 60


class QueueFullError(Exception):
    """There is no room for another request. retry_s: when to try again, whole seconds."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_s} s")
        self.retry_s = retry_s


class WorkerLostError(Exception):
    """The worker that had the request hung, or ended by itself."""


class Entry:
    """A request on its way. `result` is what becomes of it."""

    def __init__(self, request: Questions | Ask) -> None:
        self.request = request
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.bytes = _characters(request) * 4
        self.tokens = _TOKENS_PER_ASK if isinstance(request, Ask) else _characters(request) // _CHARACTERS_PER_TOKEN + 8
        self.arrived = time.monotonic()
        self.taken: float | None = None
        self.digest: str | None = None
        """Of the bundle that answered."""

    @property
    def waits(self) -> bool:
        """Whether no worker has it yet, and somebody still wants it."""
        return self.taken is None and not self.result.done()

    def finish(self, result: Result, digest: str) -> None:
        """Hand over the result, if somebody still waits for it."""
        if not self.result.done():
            self.digest = digest
            self.result.set_result(result)

    def lose(self) -> None:
        """Say that the worker was lost, if somebody still waits."""
        if not self.result.done():
            self.result.set_exception(WorkerLostError("the worker that had the request was lost"))

    def drop(self) -> None:
        """Nobody waits any more: the queue passes it over."""
        self.result.cancel()


class Queue:
    """First come, first served. Entries that nobody waits for count until they are come to."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self.tokens = 0
        """A guess of the tokens that wait."""
        self._seconds_per_token = 0.0
        self.dropped: Callable[[Entry], None] = lambda entry: None
        """Called with each entry that was passed over, because its client has left or its time was over."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        """Add an entry at the end. Raises QueueFullError."""
        if self._is_full(entry):
            waiting = list(self._entries)
            self._entries.clear()
            self._bytes = self.tokens = 0
            for one in waiting:
                if self._is_wanted(one):
                    self._entries.append(one)
                    self._count(one, 1)
        if self._is_full(entry):
            raise QueueFullError(self._retry_s())
        self._entries.append(entry)
        self._count(entry, 1)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Put entries that no worker has begun back to the front, in their order; they have had their room."""
        for entry in reversed(list(entries)):
            entry.taken = None
            self._entries.appendleft(entry)
            self._count(entry, 1)

    def take(self, most_tokens: int) -> list[Entry]:
        """Take the entries that run next, by a guess of their tokens; none if nothing waits.

        A question to documents runs alone, and so does what is longer than the budget.
        """
        taken: list[Entry] = []
        tokens = 0
        while self._entries:
            entry = self._entries[0]
            if not self._is_wanted(entry):
                self._pop()
                continue
            alone = isinstance(entry.request, Ask)
            if taken and (alone or tokens + entry.tokens > most_tokens):
                break
            self._pop()
            entry.taken = time.monotonic()
            taken.append(entry)
            tokens += entry.tokens
            if alone:
                break
        return taken

    def take_all(self) -> list[Entry]:
        """Take out everything: nothing will run any more."""
        entries = list(self._entries)
        self._entries.clear()
        self._bytes = self.tokens = 0
        return entries

    def ran(self, entries: Iterable[Entry], seconds: float) -> None:
        """Learn how long entries took, for `Retry-After`."""
        tokens = sum(entry.tokens for entry in entries)
        if tokens:
            pace = seconds / tokens
            self._seconds_per_token = (
                pace if not self._seconds_per_token else 0.9 * self._seconds_per_token + 0.1 * pace
            )

    def _is_full(self, entry: Entry) -> bool:
        too_large = bool(self._entries) and self._bytes + entry.bytes > self._most_bytes
        return too_large or len(self._entries) >= self._most

    def _pop(self) -> None:
        self._count(self._entries.popleft(), -1)

    def _count(self, entry: Entry, sign: int) -> None:
        self._bytes += sign * entry.bytes
        self.tokens += sign * entry.tokens

    def _is_wanted(self, entry: Entry) -> bool:
        if entry.waits and time.monotonic() <= entry.request.deadline:
            return True
        self.dropped(entry)
        return False

    def _retry_s(self) -> int:
        return max(1, min(_LONGEST_RETRY_S, math.ceil(self.tokens * self._seconds_per_token)))


def _characters(request: Questions | Ask) -> int:
    if isinstance(request, Ask):
        return len(request.question)
    return sum(len(question) + len(context) for question, context in request.pairs)
