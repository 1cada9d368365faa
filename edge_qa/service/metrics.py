"""What a service counts and times, in the format of Prometheus."""

from collections.abc import Callable, Sequence

from edge_qa.errors import missing_extra
from edge_qa.service.workers.messages import Done
from edge_qa.service.workers.queue import Entry

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Metrics:
    """The figures of one service. The observer of its pool."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, queued: Callable[[], int], ready_workers: Callable[[], int]) -> None:
        """queued, ready_workers: what to look at when somebody asks for the figures."""
        self._registry = registry = CollectorRegistry()

        def histogram(name: str, help_: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"edge_qa_{name}", help_, buckets=buckets, registry=registry)

        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(f"edge_qa_{name}", help_, labels, registry=registry)

        self._request_s = Histogram(
            "edge_qa_request_seconds",
            "From the request's head to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue_s = histogram("queue_seconds", "A request waits for a worker.", _SECONDS)
        self._tokenizing_s = histogram("tokenizing_seconds", "A batch is cut into windows.", _SECONDS)
        self._inference_s = histogram("inference_seconds", "The model runs over a batch.", _SECONDS)
        self._batch_requests = histogram("batch_requests", "Requests of a batch.", _SIZES)
        self._batch_tokens = histogram("batch_tokens", "Tokens of the windows of a batch.", _TOKENS)
        self._tokens = counter("tokens", "Tokens that the model read.")
        self._responses = counter("responses", "Requests that were answered, by status.", "status")
        self._rejections = counter("rejections", "Requests that were not answered, by reason.", "reason")
        self._lost = counter("workers_lost", "Workers that hung or ended by themselves.")
        self._swaps = counter("bundle_swaps", "Bundles that replaced another, by result.", "result")
        Gauge("edge_qa_queue_length", "Requests that wait.", registry=registry).set_function(queued)
        Gauge("edge_qa_workers_ready", "Workers that take requests.", registry=registry).set_function(ready_workers)

    def text(self) -> bytes:
        """Return all figures."""
        figures: bytes = generate_latest(self._registry)
        return figures

    def responded(self, status: int) -> None:
        """Count a response that leaves, whoever made it."""
        self._responses.labels(str(status)).inc()

    def handled(self, route: str, seconds: float) -> None:
        """Time a request that a route has dealt with."""
        self._request_s.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away, or that nobody waited for."""
        self._rejections.labels(reason).inc()

    def batch_done(self, entries: Sequence[Entry], done: Done) -> None:
        """Count a batch that was answered."""
        for entry in entries:
            if entry.taken is not None:
                self._queue_s.observe(entry.taken - entry.arrived)
        self._tokenizing_s.observe(done.tokenizing_s)
        self._inference_s.observe(done.inference_s)
        self._batch_requests.observe(len(entries))
        if done.windows:
            self._batch_tokens.observe(done.tokens)
            self._tokens.inc(done.tokens)

    def worker_lost(self) -> None:
        """Count a worker that hung or ended by itself."""
        self._lost.inc()

    def bundle_swapped(self) -> None:
        """Count a bundle that replaced another."""
        self._swaps.labels("swapped").inc()

    def swap_failed(self) -> None:
        """Count a bundle that could not be loaded."""
        self._swaps.labels("failed").inc()
