"""Between the routes and the workers: a request is queued, and waited for as long as its client and its deadline do."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from edge_qa.errors import missing_extra
from edge_qa.service.metrics import Metrics
from edge_qa.service.network.failures import RequestError
from edge_qa.service.settings import Limits
from edge_qa.service.workers.messages import Ask, Loaded, Problem, Questions, Result
from edge_qa.service.workers.pool import Pool
from edge_qa.service.workers.queue import Entry, QueueFullError, WorkerLostError

try:
    from starlette.requests import ClientDisconnect, Request
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

# The bundle that answered.
DIGEST_HEADER = "Edge-QA-Bundle"
_SOON = {"Retry-After": "1"}


class Desk:
    """Takes requests to the pool."""

    def __init__(self, pool: Pool, limits: Limits, metrics: Metrics) -> None:
        self.pool, self.limits, self.metrics = pool, limits, metrics
        self.ending = False
        """True once the service was told to end: what is running is answered, nothing new is taken."""

    @property
    def status(self) -> str:
        """Whether requests are answered: "ok", or why not."""
        if self.ending:
            return "ending"
        if self.pool.loaded is None:
            return "loading"
        return "ok" if self.pool.is_ready else "no worker"

    def loaded(self) -> Loaded:
        """Return what the workers have loaded. Raises RequestError (503) while they load and when the service ends."""
        loaded = self.pool.loaded
        if loaded is None or self.ending:
            raise RequestError(503, self.status, f"the service is {self.status}", headers=_SOON)
        return loaded

    def deadline(self) -> float:
        """Return when a request that was received now must have its answer."""
        return time.monotonic() + self.limits.request_s

    async def answer(self, client: Request, asked: Questions | Ask) -> tuple[Result, dict[str, str]]:
        """Return what became of a request, and the headers of its response.

        Raises RequestError if it was not answered, and starlette's ClientDisconnect if the client left before.
        """
        self.loaded()
        entry = Entry(asked)
        try:
            self.pool.submit(entry)
        except QueueFullError as error:
            raise RequestError(429, "full", str(error), headers={"Retry-After": str(error.retry_s)}) from None
        leaves = asyncio.ensure_future(client.receive())
        try:
            await self._wait(entry, leaves)
        finally:
            leaves.cancel()
            if not entry.result.done():
                entry.drop()
        result = entry.result.result()
        if isinstance(result, Problem):
            raise _error(result)
        return result, {DIGEST_HEADER: entry.digest or ""}

    async def _wait(self, entry: Entry, leaves: "asyncio.Future[Any]") -> None:
        left = entry.request.deadline - time.monotonic()
        both: set[asyncio.Future[Any]] = {entry.result, leaves}
        await asyncio.wait(both, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        if not entry.result.done() and not leaves.done():
            if entry.waits:
                raise RequestError(504, "late", "no worker was free before the deadline of the request")
            # A worker has it, and says itself that it is late, or is ended because it says nothing.
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not entry.result.done():
            self.metrics.rejected("left")
            raise ClientDisconnect
        with suppress(asyncio.CancelledError):
            if isinstance(entry.result.exception(), WorkerLostError):
                raise RequestError(503, "lost", "the worker that had the request was lost; ask again", headers=_SOON)


def _error(problem: Problem) -> RequestError:
    where = None if problem.item is None else f"inputs[{problem.item}]"
    if problem.kind == "unusable":
        return RequestError(422, "unusable", problem.message, where=where)
    if problem.kind == "late":
        return RequestError(504, "late", problem.message)
    if problem.kind in ("memory", "documents"):
        return RequestError(503, problem.kind, problem.message, headers=_SOON)
    return RequestError(500, "internal", problem.message)
