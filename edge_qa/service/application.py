"""The routes put together: one ASGI application, with what is timed and what is turned away around it."""

import time
from http import HTTPStatus

from edge_qa.errors import missing_extra
from edge_qa.service.api.desk import Desk
from edge_qa.service.api.inference_protocol import inference_protocol_routes
from edge_qa.service.api.questions import question_routes
from edge_qa.service.api.status import status_routes
from edge_qa.service.metrics import Metrics
from edge_qa.service.network.failures import RequestError
from edge_qa.service.network.guard import App, Guard, Receive, Scope, Send
from edge_qa.service.page import page_route
from edge_qa.service.settings import Listening

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

# What nobody reads: the client has left.
_LEFT = 499


def application(desk: Desk, listening: Listening, name: str) -> App:
    """Return the service as an ASGI application. name: of the model."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        desk.metrics.rejected(error.failure.kind)
        return error.response()

    async def not_routed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase.lower()
        return RequestError(error.status_code, "route", phrase, headers=dict(error.headers or {})).response()

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=_LEFT)

    async def failed(request: Request, error: Exception) -> Response:
        return RequestError(500, "internal", f"internal error ({type(error).__name__})").response()

    routes = [
        *question_routes(desk),
        *inference_protocol_routes(desk, name),
        *status_routes(desk, name, with_token=listening.token is not None),
        page_route(),
    ]
    handlers = {RequestError: refused, HTTPException: not_routed, ClientDisconnect: left, Exception: failed}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    # A path with a slash too many is not there: a redirect would name another host than a proxy's client knows.
    inner.router.redirect_slashes = False
    return _Timed(Guard(inner, listening, desk.limits, desk.metrics.rejected), desk.metrics)


class _Timed:
    """Times every request, also one that a route fails at."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                # The name of what answered: few, whatever paths clients make up.
                route = getattr(scope.get("endpoint"), "__name__", "none")
                self._metrics.handled(route, time.perf_counter() - begin)
