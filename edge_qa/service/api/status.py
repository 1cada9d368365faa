"""What a service says of itself: `/health`, `/info`, `/metrics` and `/openapi.json`."""

from edge_qa import __version__
from edge_qa.errors import missing_extra
from edge_qa.service.api.desk import Desk
from edge_qa.service.api.openapi import openapi
from edge_qa.service.api.questions import json_response
from edge_qa.service.api.types import MOST_INPUTS, Info

try:
    import msgspec
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None


def status_routes(desk: Desk, name: str, *, with_token: bool) -> list[Route]:
    """Return the routes. name: of the model. with_token: whether clients must show one."""
    description = msgspec.json.encode(openapi(name, with_token=with_token))

    async def health(request: Request) -> Response:
        response = json_response({"status": desk.status})
        response.status_code = 200 if desk.status == "ok" else 503
        return response

    async def info(request: Request) -> Response:
        loaded = desk.loaded()
        return json_response(
            Info(
                name=name,
                version=__version__,
                digest=loaded.digest,
                family=loaded.model,
                engine=loaded.engine,
                precision=loaded.precision,
                threads=loaded.threads,
                workers=desk.pool.ready_workers,
                longest_window=loaded.longest_window,
                has_confidence=loaded.has_confidence,
                document_files=loaded.document_files,
                max_inputs=MOST_INPUTS,
                max_body_bytes=desk.limits.body_bytes,
                max_batch_tokens=desk.limits.batch_tokens,
                request_timeout_s=desk.limits.request_s,
            )
        )

    async def metrics(request: Request) -> Response:
        return Response(desk.metrics.text(), headers={"Content-Type": desk.metrics.content_type})

    async def description_of_api(request: Request) -> Response:
        return Response(description, media_type="application/json")

    return [
        Route("/health", health),
        Route("/info", info),
        Route("/metrics", metrics),
        Route("/openapi.json", description_of_api),
    ]
