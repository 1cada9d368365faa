"""Run a service: listen, load the bundle, answer until a signal, and end without losing a request."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_qa.errors import missing_extra
from edge_qa.service.api.desk import Desk
from edge_qa.service.application import application
from edge_qa.service.metrics import Metrics
from edge_qa.service.network.listening import listen
from edge_qa.service.network.protocol import protocol_with
from edge_qa.service.settings import Limits, Listening, Model
from edge_qa.service.workers.pool import Pool
from edge_qa.service.workers.queue import Entry, Queue

try:
    import uvicorn
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

_log = logging.getLogger(__name__)

# Bytes of a request's head.
_LONGEST_HEAD = 16 * 2**10
# An idle connection may ask again within.
_KEEP_ALIVE_S = 30
_HEADERS = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]


def serve(model: Model, limits: Limits, listening: Listening, *, listens: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT; what was accepted by then is answered still.

    SIGHUP loads what stands at the bundle's place anew. listens: told the address once it can be reached; requests
    get a 503 until the bundle is loaded.
    Raises what `listen` and loading the bundle raise, and KeyboardInterrupt after SIGINT.
    """
    with contextlib.closing(listen(listening)) as bound:
        own = _place(listening.socket)
        try:
            asyncio.run(_Service(model, limits, listening, bound).run(listens))
        finally:
            # A service that was started meanwhile may have put its own socket there.
            if listening.socket is not None and _place(listening.socket) == own:
                listening.socket.unlink(missing_ok=True)


def _place(path: Path | None) -> tuple[int, int] | None:
    try:
        status = None if path is None else path.lstat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Service:
    def __init__(self, model: Model, limits: Limits, listening: Listening, bound: socket.socket) -> None:
        self._model, self._limits, self._listening, self._bound = model, limits, listening, bound
        self._interrupted = False

    async def run(self, listens: Callable[[str], None]) -> None:
        queue = Queue(self._limits.queued, self._limits.queued_bytes)
        metrics = Metrics(lambda: len(queue), lambda: pool.ready_workers)
        queue.dropped = lambda entry: metrics.rejected(_why(entry))
        pool = Pool(self._model, self._limits, queue, metrics)
        desk = Desk(pool, self._limits, metrics)
        name = self._model.name or self._model.bundle.absolute().name
        server = _Server(self._config(desk, name))
        ending = asyncio.Event()
        self._take_signals(ending, pool)
        serving = asyncio.create_task(server.serve(sockets=[self._bound]))
        loading = asyncio.create_task(pool.begin())
        stopped = asyncio.create_task(ending.wait())
        try:
            await self._until_started(server, serving)
            listens(_address(self._bound))
            await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                _log.info("%s is loaded", self._model.bundle)
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            desk.ending = True
            server.should_exit = True
            loading.cancel()
            stopped.cancel()
            await asyncio.wait({serving}, timeout=self._limits.drain_s)
            server.force_exit = True
            await pool.drain(self._limits.drain_s)
            await serving
        if self._interrupted:
            raise KeyboardInterrupt("what was asked before was answered")

    def _config(self, desk: Desk, name: str) -> uvicorn.Config:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # not a line for each malformed request
        return uvicorn.Config(
            application(desk, self._listening, name),
            http=protocol_with(
                self._limits.receive_s,
                longest_head=_LONGEST_HEAD,
                responded=desk.metrics.responded,
                rejected=desk.metrics.rejected,
            ),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=_HEADERS,
            backlog=1024,
            limit_concurrency=self._limits.connections,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(self._limits.drain_s)),
        )

    def _take_signals(self, ending: asyncio.Event, pool: Pool) -> None:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self._interrupted = True
            ending.set()

        def reload() -> None:
            tasks.add(task := loop.create_task(pool.reload()))
            task.add_done_callback(tasks.discard)

        tasks: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGTERM, ending.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGHUP, reload)

    async def _until_started(self, server: uvicorn.Server, serving: "asyncio.Task[None]") -> None:
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)


def _address(bound: socket.socket) -> str:
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"


def _why(entry: Entry) -> str:
    return "left in the queue" if entry.result.done() else "late in the queue"
