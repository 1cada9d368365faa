"""The workers of a service: batches are shared out, lost workers replaced, and a new bundle swapped in."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_qa.errors import BundleError, EdgeQAError, ResourceError
from edge_qa.service.settings import Limits, Model
from edge_qa.service.workers.messages import Done, Loaded, Start
from edge_qa.service.workers.queue import Entry, Queue
from edge_qa.service.workers.worker import Worker
from edge_qa.system.cpu import this_cpu

_log = logging.getLogger(__name__)

# Between tries to replace a worker that does not load: it doubles up to the longest.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# How often the bundle's place is looked at.
_LOOK_S = 1.0
# Loads of one bundle that are tried, where it is exchanged while several workers load it.
_TRIES = 5


class Observer(Protocol):
    """Is told what happens; the metrics of a service are one."""

    def batch_done(self, entries: Sequence[Entry], done: Done) -> None:
        """A batch was answered."""

    def worker_lost(self) -> None:
        """A worker ended by itself, or hung and was killed."""

    def bundle_swapped(self) -> None:
        """Another bundle answers from now on."""

    def swap_failed(self) -> None:
        """Another bundle was there, and could not be loaded."""


@dataclass
class _Generation:
    """The workers that answer from one bundle."""

    start: Start
    loaded: Loaded
    workers: list[Worker] = field(default_factory=list)


class Pool:
    """Worker processes that take requests from one queue."""

    def __init__(self, model: Model, limits: Limits, queue: Queue, observer: Observer) -> None:
        self._model, self._limits, self.queue, self._observer = model, limits, queue, observer
        self._current: _Generation | None = None
        self._place: object = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._all: set[Worker] = set()
        self._reloading = asyncio.Lock()
        self._closing = False

    @property
    def loaded(self) -> Loaded | None:
        """What answers now; None while the first bundle is loaded."""
        return None if self._current is None else self._current.loaded

    @property
    def is_ready(self) -> bool:
        """Whether a worker would take a request now."""
        return self._current is not None and any(worker.is_ready for worker in self._current.workers)

    @property
    def ready_workers(self) -> int:
        """How many workers have loaded the bundle that answers now."""
        return 0 if self._current is None else sum(worker.is_ready for worker in self._current.workers)

    async def begin(self) -> None:
        """Load the bundle in all workers. Raises what loading it raises."""
        self._current = await self._new_generation()
        self._run(self._look_after_place())
        self.dispatch()

    def submit(self, entry: Entry) -> None:
        """Have a request answered. Raises QueueFullError."""
        self.queue.put(entry)
        self.dispatch()

    def dispatch(self) -> None:
        """Give waiting requests to workers that have room, those first that have nothing to do."""
        while len(self.queue) and self._current is not None:
            free = [worker for worker in self._current.workers if worker.has_room]
            if not free:
                return
            worker = min(free, key=lambda one: one.batches)
            # A second batch waits behind the first: that only pays where it would be a whole one.
            if worker.batches and self.queue.tokens < self._limits.batch_tokens:
                return
            entries = self.queue.take(self._limits.batch_tokens)
            if entries:
                worker.send(entries)

    async def reload(self) -> None:
        """Load the bundle that is there now beside the one that answers, and let it answer from then on.

        If it cannot be loaded, the one that answers goes on, and the log says why.
        """
        async with self._reloading:
            if self._closing or self._current is None:
                return
            try:
                new = await self._new_generation()
            except EdgeQAError as error:
                _log.error("the bundle was not exchanged: %s", error)
                self._observer.swap_failed()
                return
            old, self._current = self._current, new
            for worker in old.workers:
                worker.leave()
            _log.info("bundle %s answers now, after %s", new.loaded.digest[:12], old.loaded.digest[:12])
            self._observer.bundle_swapped()
            self.dispatch()

    async def drain(self, seconds: float) -> None:
        """Let everything that was accepted be answered, as far as that takes no longer than `seconds`; then end."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        workers = list(self._all)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_ready and (len(self.queue) or any(worker.batches for worker in workers)):
                    self.dispatch()
                    await asyncio.sleep(0.02)
                for worker in workers:
                    worker.leave()
                for worker in workers:
                    await worker.ended.wait()
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.ended.wait()
        for entry in self.queue.take_all():
            entry.lose()

    async def _new_generation(self) -> _Generation:
        """Load the bundle that stands at its place now, the same one in every worker."""
        for _ in range(_TRIES):
            self._place = place_of(self._model)
            start = self._start()
            workers = [self._worker(start) for _ in range(self._limits.workers)]
            try:
                for worker in workers:
                    await worker.begin()
                loaded = await asyncio.gather(*(asyncio.shield(worker.loaded) for worker in workers))
            except BaseException:
                for worker in workers:
                    worker.kill()
                raise
            if len({one.digest for one in loaded}) == 1:
                return _Generation(start, loaded[0], workers)
            for worker in workers:  # it was exchanged meanwhile
                worker.kill()
        raise BundleError("is exchanged all the time", where=self._model.bundle, remedy="exchange it less often")

    def _start(self) -> Start:
        # The folder itself: what a link points to later is another bundle's business.
        folder = os.path.realpath(self._model.bundle)
        share = self._model.threads
        if share is None and self._limits.workers > 1:
            share = max(1, this_cpu().threads // self._limits.workers)
        return Start(
            bundle=folder,
            documents=None if self._model.documents is None else os.fspath(self._model.documents),
            engine=self._model.engine,
            precision=self._model.precision,
            budget=self._model.budget,
            threads=share,
            cache=self._model.cache,
            batch_tokens=self._limits.batch_tokens,
            data_bytes=self._limits.worker_bytes,
        )

    def _worker(self, start: Start) -> Worker:
        worker = Worker(
            start,
            load_s=self._limits.load_s,
            hang_s=self._limits.hang_s,
            on_done=self._done,
            on_end=self._ended,
        )
        self._all.add(worker)
        return worker

    def _done(self, worker: Worker, entries: Sequence[Entry], done: Done) -> None:
        self.queue.ran(entries, done.tokenizing_s + done.inference_s)
        self._observer.batch_done(entries, done)
        self.dispatch()

    def _ended(self, worker: Worker, running: list[Entry], not_begun: list[Entry]) -> None:
        self._all.discard(worker)
        for entry in running:
            entry.lose()
        self.queue.put_back(not_begun)
        generation = self._current
        if self._closing or generation is None or worker not in generation.workers:
            self.dispatch()
            return
        generation.workers.remove(worker)
        _log.warning("worker %s was lost with %d requests; another takes its place", worker.pid, len(running))
        self._observer.worker_lost()
        self._run(self._replace(generation))
        self.dispatch()

    async def _replace(self, generation: _Generation) -> None:
        """Start another worker of a generation, and try again for as long as that generation answers."""
        pause = _FIRST_PAUSE_S
        while generation is self._current and not self._closing:
            worker = self._worker(generation.start)
            try:
                await worker.begin()
                loaded = await asyncio.shield(worker.loaded)
            except EdgeQAError as error:
                _log.error("a worker could not be replaced: %s", error)
                worker.kill()
                # The folder may be gone because another stands at its place.
                if not isinstance(error, ResourceError) and place_of(self._model) != self._place:
                    await self.reload()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            if loaded.digest != generation.loaded.digest:
                worker.kill()
                await self.reload()
                continue
            if generation is not self._current:
                worker.leave()
                return
            generation.workers.append(worker)
            self.dispatch()
            return

    async def _look_after_place(self) -> None:
        """Swap the bundle when another stands at its place."""
        missing = False
        while True:
            await asyncio.sleep(_LOOK_S)
            place = place_of(self._model)
            if place is None and not missing:
                _log.error("%s is not there any more; the bundle that is loaded goes on", self._model.bundle)
            missing = place is None
            if place not in (None, self._place):
                await self.reload()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)


def place_of(model: Model) -> object:
    """Return what changes when another bundle is put at the place of the first: a link, or the folder; None if neither.

    A folder keeps its number when it is renamed, so an exchange of two names is seen as well.
    """
    try:
        status = os.stat(model.bundle)
    except OSError:
        return None
    return status.st_dev, status.st_ino
