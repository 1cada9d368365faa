"""What a service counts: every response, whoever made it."""

import asyncio
import http.client
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import uvicorn

from edge_qa.service.api.desk import Desk
from edge_qa.service.application import application
from edge_qa.service.metrics import Metrics
from edge_qa.service.network.protocol import protocol_with
from edge_qa.service.settings import Limits, Listening
from tests.support.service import Service


def responses(service: Service) -> dict[int, float]:
    statuses = (200, 400, 404, 413, 415, 421, 422)
    return {status: service.metric(f'edge_qa_responses_total{{status="{status}"}}') for status in statuses}


def test_every_status_is_counted(service: Service):
    before = responses(service)
    rejected = service.metric('edge_qa_rejections_total{reason="http"}')
    service.raw(b"no http\r\n\r\n")  # 400, before there is a request
    service.post("/v1/question-answering", b"{")  # 400
    service.post("/v1/question-answering", {})  # 422
    service.get("/nothing")  # 404
    service.request("POST", "/v1/question-answering", b"")  # 415
    service.get("/health", Host="elsewhere.example")  # 421
    service.raw(b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 200001\r\n\r\n")
    more = {status: count - before[status] for status, count in responses(service).items()}
    more.pop(200)  # those that ask for the figures
    assert more == {400: 2, 404: 1, 413: 1, 415: 1, 421: 1, 422: 1}
    assert service.metric('edge_qa_rejections_total{reason="http"}') == rejected + 1


class _Broken:
    """Stands for a desk with a fault that nobody thought of."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics, self.limits = metrics, Limits()

    @property
    def status(self) -> str:
        raise RuntimeError("a fault")

    def loaded(self) -> Any:
        raise RuntimeError("a fault")


@contextmanager
def broken_service(metrics: Metrics, *, connections: int) -> Iterator[int]:
    """The port of a service, in a thread of its own, that fails at each question of its state."""
    bound = socket.create_server(("127.0.0.1", 0))
    connection = protocol_with(10.0, longest_head=2**14, responded=metrics.responded, rejected=metrics.rejected)
    app = application(cast(Desk, _Broken(metrics)), Listening(), "name")
    config = uvicorn.Config(app, http=connection, ws="none", lifespan="off", interface="asgi3", log_config=None)
    config.limit_concurrency = connections
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.mark.parametrize(("connections", "status"), [(100, 500), (1, 503)], ids=["a fault", "a connection too many"])
def test_responses_that_the_application_does_not_make_are_counted(caplog, connections, status):
    caplog.set_level(logging.CRITICAL, logger="uvicorn.error")
    metrics = Metrics(lambda: 0, lambda: 0)
    with broken_service(metrics, connections=connections) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("GET", "/health")
        assert client.getresponse().status == status
        client.close()
    assert f'edge_qa_responses_total{{status="{status}"}} 1.0' in metrics.text().decode()
