"""One worker process, seen from the service: it is started, given batches, watched, and ended."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_qa.errors import EdgeQAError, ResourceError
from edge_qa.service.workers.frames import Frames, UnreadableError, frame
from edge_qa.service.workers.messages import Batch, Done, FromWorker, Loaded, NotLoaded, Start
from edge_qa.service.workers.queue import Entry

_log = logging.getLogger(__name__)

# The batch that runs, and the one that is begun when it is done: without it a worker would wait for the service.
_MOST_BATCHES = 2
# What libraries print while they are imported, or later, must not come between the messages.
_FIRST_STATEMENTS = (
    "import os; pipe = os.dup(1); os.dup2(2, 1); from edge_qa.service.workers.process import main; main({parent}, pipe)"
)


@dataclass
class _Sent:
    number: int
    entries: list[Entry]


class Worker:
    """A process that loads a bundle and answers batches in the order in which they were sent."""

    def __init__(
        self,
        start: Start,
        *,
        load_s: float,
        hang_s: float,
        on_done: Callable[["Worker", Sequence[Entry], Done], None],
        on_end: Callable[["Worker", list[Entry], list[Entry]], None],
    ) -> None:
        """Say what is to be loaded; `begin` starts the process.

        on_done: called with each batch that was answered, after its entries were finished.
        on_end: called once, when the process has ended: with the entries that it was running, and with those that it
        had not begun.
        """
        self._start, self._load_s, self._hang_s = start, load_s, hang_s
        self._on_done, self._on_end = on_done, on_end
        self._sent: deque[_Sent] = deque()
        self._number = 0
        self._process: asyncio.subprocess.Process | None = None
        self._handle: int | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._leaving = False
        self.loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        """What it loaded. Raises what loading raised there."""
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process, None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has loaded, and was not told to leave."""
        return (
            self.loaded.done()
            and not self.loaded.cancelled()
            and self.loaded.exception() is None
            and not self._leaving
            and not self.ended.is_set()
        )

    @property
    def batches(self) -> int:
        """How many it has, the one that runs among them."""
        return len(self._sent)

    @property
    def has_room(self) -> bool:
        """Whether another batch may be sent."""
        return self.is_ready and len(self._sent) < _MOST_BATCHES

    async def begin(self) -> None:
        """Start the process; `loaded` tells how that goes on."""
        home = str(Path(__file__).resolve().parents[3])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
        code = _FIRST_STATEMENTS.format(parent=os.getpid())
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", code),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            self.ended.set()
            raise ResourceError(f"a worker cannot be started ({error.strerror})") from None
        # A number may be another process's by the time that a signal is sent to it; a handle may not.
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(self._process.pid)
        self._reading = asyncio.create_task(self._read())
        self._wait_at_most(self._load_s)
        self._write(frame(self._start))

    def send(self, entries: list[Entry]) -> None:
        """Have a batch answered."""
        self._number += 1
        self._sent.append(_Sent(self._number, entries))
        self._write(frame(Batch(self._number, [entry.request for entry in entries])))
        if len(self._sent) == 1:
            self._watch_first()

    def leave(self) -> None:
        """Let it answer what it has, and end."""
        self._leaving = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it now."""
        self._leaving = True
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _write(self, content: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # What cannot be written any more is noticed by the reader, too.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(content)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        frames = Frames[FromWorker](FromWorker)
        try:
            while (message := await frames.receive(self._process.stdout)) is not None:
                if isinstance(message, Loaded):
                    self._wait_at_most(None)
                    self.loaded.set_result(message)
                elif isinstance(message, NotLoaded):
                    self.loaded.set_exception(_error(message))
                else:
                    self._done(message)
        except UnreadableError:
            _log.error("worker %s says what cannot be read", self.pid)
        self._wait_at_most(None)
        # Its pipe is closed: it has ended, or will not say anything any more.
        self.kill()
        code = await self._process.wait()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if not self.loaded.done():
            by = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self.loaded.set_exception(ResourceError(f"a worker was {by} as it loaded the bundle"))
        self.loaded.exception()  # is known, whoever asked
        self.ended.set()
        running = self._sent.popleft().entries if self._sent else []
        not_begun = [entry for sent in self._sent for entry in sent.entries]
        self._sent.clear()
        self._on_end(self, running, not_begun)

    def _done(self, done: Done) -> None:
        sent = self._sent.popleft()
        assert sent.number == done.number
        digest = self.loaded.result().digest
        for entry, result in zip(sent.entries, done.results, strict=True):
            entry.finish(result, digest)
        self._watch_first()
        self._on_done(self, sent.entries, done)

    def _watch_first(self) -> None:
        """Of the batch that runs now: after the deadlines of all its requests a worker that says nothing hangs."""
        if not self._sent:
            self._wait_at_most(None)
            return
        latest = max(entry.request.deadline for entry in self._sent[0].entries)
        self._wait_at_most(max(0.0, latest - time.monotonic()) + self._hang_s)

    def _wait_at_most(self, seconds: float | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.kill)


def _error(message: NotLoaded) -> EdgeQAError:
    kinds: dict[str, type[EdgeQAError]] = {kind.__name__: kind for kind in _subclasses(EdgeQAError)}
    kind = kinds.get(message.kind, EdgeQAError)
    return kind(message.got, where=message.where, wanted=message.wanted, remedy=message.remedy)


def _subclasses(kind: type[EdgeQAError]) -> list[type[EdgeQAError]]:
    return [one for child in kind.__subclasses__() for one in (child, *_subclasses(child))]
