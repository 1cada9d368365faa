"""Workers on a Ray cluster: they are given parts, and those that die are replaced and their parts done again.

Only the process that called reads and writes files, so that nodes need the packages and nothing else, and no CPU has
to stay free for reading.
"""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_qa.errors import EdgeQAError, ResourceError, missing_extra
from edge_qa.evaluation.answered_rows import AnswerOptions
from edge_qa.integrations.ray_batch.parts import Part
from edge_qa.integrations.ray_batch.plan import Plan, checked_plan
from edge_qa.integrations.ray_batch.worker import ModelOptions, Worker
from edge_qa.system.cpu import usable_threads

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as error:
    raise missing_extra(error, "ray") from None

# So many workers may die over one part before it is taken for what kills them.
_ATTEMPTS = 3
# No worker at all for so long is given up. A node that has died is noticed in half a minute.
_NO_WORKER_SECONDS = 120.0
_CONNECT_SECONDS = _SETTLE_SECONDS = 5.0
_OBJECT_STORE_BYTES = 256 * 2**20  # of a cluster of one's own; what is on its way at a time is a few MB


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Use a cluster: the one that is connected already, the one at `address`, or a new one on this machine.

    No usage statistics are sent by a new one. Raises ResourceError if there is none at the address.
    """
    if ray.is_initialized():
        yield
        return
    if address is not None:
        _check_address(address)
    ending = signal.getsignal(signal.SIGTERM)
    own: dict[str, Any] = {}
    if address is None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        own = {
            "num_cpus": usable_threads(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    try:
        # A worker's prints would come out among the data.
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **own)
    except (RayError, ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ResourceError(
            f"no Ray cluster answers ({str(error).strip().splitlines()[0]})",
            where=address or "this machine",
            remedy="start one with ray start --head, or leave `address` out",
        ) from None
    finally:
        if ending is not None:  # Ray puts its own in this place
            signal.signal(signal.SIGTERM, ending)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise ResourceError if nobody listens at host:port, which Ray would try to reach for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # "auto", which Ray finds out at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ResourceError(
            f"nobody answers there ({error})", where=address, remedy="give the address that ray start --head shows"
        ) from None


def plan_here(workers: int | None, threads: int, *, spare: int = 0) -> Plan:
    """Return the plan for the connected cluster, see `checked_plan`; raises what that raises, after some seconds.

    So long the CPUs of workers that have just ended count as taken.
    """
    until = time.monotonic() + _SETTLE_SECONDS
    while True:
        try:
            return checked_plan(workers, threads, _free_cpus(), spare=spare)
        except ResourceError:
            if time.monotonic() > until:
                raise
        time.sleep(0.2)


def _free_cpus() -> list[float]:
    """How many CPUs are free on each node."""
    from ray._private.state import available_resources_per_node  # no public way says it by node

    nodes: Mapping[str, Mapping[str, float]] = available_resources_per_node()
    return sorted((node.get("CPU", 0.0) for node in nodes.values()), reverse=True)


@dataclass(frozen=True)
class Model:
    """What every worker loads: a bundle, here and as files for nodes that do not have it."""

    path: Path
    digest: str
    files: Mapping[str, bytes]
    options: ModelOptions


class RemoteWorker:
    """A Worker in a process of Ray's."""

    def __init__(self, threads: int) -> None:
        self._worker = Worker(threads)

    def load(self, path: str, digest: str, files: list[Any], options: ModelOptions) -> None:
        """See `Worker.load`. files: a reference, in a list so that it is not fetched before it is needed."""
        self._worker.load(path, digest, lambda: ray.get(files[0]), options)

    def answer(self, rows: tuple[Any, ...], options: AnswerOptions) -> tuple[bytes, int]:
        """See `Worker.answer`."""
        return self._worker.answer(rows, options)


def answered_parts(
    parts: Iterator[Part], model: Model, plan: Plan, options: AnswerOptions
) -> Iterator[tuple[Part, bytes, int]]:
    """Yield each part once, with its lines and how many of them are errors, in the order in which they are done.

    Raises what the workers raise, and ResourceError if parts keep killing workers or no worker is to be had.
    """
    pool = _Pool(model, plan, options)
    try:
        yield from pool.run(parts)
    finally:
        pool.close()


class _Pool:
    def __init__(self, model: Model, plan: Plan, options: AnswerOptions) -> None:
        self._model, self._plan, self._options = model, plan, options
        self._files = [ray.put(dict(model.files))]
        # max_restarts=0: a dead worker is replaced here, where it is known what it was doing.
        self._make: Callable[[int], Any] = ray.remote(num_cpus=plan.threads, max_restarts=0)(RemoteWorker).remote
        # What is waited for: the worker, and the part that it answers; None while it loads.
        self._running: dict[Any, tuple[Any, Part | None]] = {}
        self._again: deque[Part] = deque()
        self._attempts: dict[int, int] = {}
        self._failed_starts = 0
        self._exhausted = False

    def run(self, parts: Iterator[Part]) -> Iterator[tuple[Part, bytes, int]]:
        first = next(parts, None)
        if first is None:
            return  # and no model is loaded for it
        self._again.append(first)
        for _ in range(self._plan.workers):
            self._start()
        last = time.monotonic()
        while not self._is_finished():
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
            loading = all(part is None for _, part in self._running.values())
            if not done and loading and time.monotonic() - last > _NO_WORKER_SECONDS:
                raise ResourceError(
                    f"no worker of {self._plan.threads} CPUs could be started for {_NO_WORKER_SECONDS:.0f} s, and "
                    f"the cluster has {' + '.join(f'{cpus:.0f}' for cpus in _free_cpus()) or '0'} free",
                    where="cluster",
                    remedy="see that its nodes are up, and go on with `resume`",
                )
            if done or not loading:
                last = time.monotonic()
            for reference in done:
                worker, part = self._running.pop(reference)
                try:
                    found = ray.get(reference)
                except RayTaskError as error:
                    raise _raised(error) from None
                except RayError as error:
                    self._replace(worker, part, error)
                    continue
                self._failed_starts = 0
                if part is not None:
                    yield part, *found
                self._give(worker, parts)

    def _is_finished(self) -> bool:
        """Whether nothing is left but workers that load."""
        out = any(part is not None for _, part in self._running.values())
        return self._exhausted and not self._again and not out

    def _give(self, worker: Any, parts: Iterator[Part]) -> None:
        part = self._again.popleft() if self._again else next(parts, None)
        if part is None:
            self._exhausted = True
            ray.kill(worker)
        else:
            self._running[worker.answer.remote(part.rows, self._options)] = worker, part

    def _start(self) -> None:
        worker = self._make(self._plan.threads)
        loaded = worker.load.remote(str(self._model.path), self._model.digest, self._files, self._model.options)
        self._running[loaded] = worker, None

    def _replace(self, worker: Any, part: Part | None, error: RayError) -> None:
        ray.kill(worker)
        told = str(error).strip().splitlines()[0]
        if part is None:
            self._failed_starts += 1
            if self._failed_starts >= _ATTEMPTS * self._plan.workers:
                raise ResourceError(f"workers die as they start ({told})", where="cluster", remedy="see Ray's log")
        else:
            count = self._attempts[part.number] = self._attempts.get(part.number, 0) + 1
            if count >= _ATTEMPTS:
                raise ResourceError(
                    f"{count} workers died over the {len(part.rows)} lines from line {part.first} on ({told})",
                    where=part.source,
                    remedy="see Ray's log; if memory was short, ask for fewer `workers`, and go on with `resume`",
                )
            self._again.append(part)
        self._start()

    def close(self) -> None:
        for worker, _ in self._running.values():
            ray.kill(worker)


def _raised(error: RayTaskError) -> Exception:
    """What a worker raised: one of our own errors as it is, another in one line."""
    cause = error.cause
    if isinstance(cause, EdgeQAError):
        return cause
    return ResourceError(
        f"a worker failed ({type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else ''})",
        where="cluster",
        remedy="see that edge-qa is installed on every node, in this release",
    )
