"""The description of the service as OpenAPI 3.1, made from the types that check requests and shape responses."""

from collections.abc import Iterable
from typing import Any

from edge_qa import __version__
from edge_qa.errors import missing_extra
from edge_qa.service.api.desk import DIGEST_HEADER
from edge_qa.service.api.inference_protocol import (
    BINARY_HEADER,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ServerMetadata,
)
from edge_qa.service.api.types import (
    AskRequest,
    AskResponse,
    FoundAnswer,
    Health,
    Info,
    QuestionAnsweringRequest,
)
from edge_qa.service.network.failures import Failure

try:
    import msgspec
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

Json = dict[str, Any]

_TYPES = (
    *(QuestionAnsweringRequest, FoundAnswer, AskRequest, AskResponse, Health, Info, Failure),
    *(InferRequest, InferResponse, ModelMetadata, ServerMetadata),
)
_WHY = {
    400: "The body cannot be read: no UTF-8, no JSON, or tensors that do not fit together.",
    401: "No token, or a wrong one.",
    403: "A page of another site asked.",
    404: "There is no such model, or there are no documents.",
    408: "The request took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    421: "The service does not go by the name in the Host header.",
    422: "A value has another type, or a text cannot be used; `position` is a code point in it.",
    429: "The queue is full; Retry-After says when to try again.",
    500: "An internal error.",
    503: "The service is loading or ending, or the worker that had the request was lost; ask again.",
    504: "There was no answer before the deadline.",
}
_ASKED = (400, 408, 413, 415, 422, 429, 500, 503, 504)
_READY = {"type": "object", "properties": {"ready": {"type": "boolean"}}, "required": ["ready"]}


def openapi(name: str, *, with_token: bool) -> Json:
    """Return the description. name: of the model. with_token: whether clients must show a token."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    every = (403, 421, *((401,) if with_token else ()))
    one = _ref("FoundAnswer")
    many = {"type": "array", "items": one}
    found = {"anyOf": [one, many, {"type": "array", "items": many}]}
    paths: Json = {
        "/v1/question-answering": _post(
            "Answer questions from texts.",
            "One answer for one input, a list with `top_k` above 1; for a list of inputs a list of these.",
            "QuestionAnsweringRequest",
            found,
            (*_ASKED, *every),
        ),
        "/v1/ask": _post(
            "Answer a question from the documents of the service.",
            "Answers with citations, best first.",
            "AskRequest",
            _ref("AskResponse"),
            (404, *_ASKED, *every),
        ),
        "/v2": _get("The service, as the Open Inference Protocol has it.", _ref("ServerMetadata"), every),
        "/v2/health/live": _get(
            "Whether the service runs.",
            {"type": "object", "properties": {"live": {"type": "boolean"}}, "required": ["live"]},
            (421,),
        ),
        "/v2/health/ready": _get("Whether requests are answered.", _READY, (421,), not_ready=_READY),
        "/v2/models/{name}": _of_model(
            name, _get("What the model takes and gives.", _ref("ModelMetadata"), (404, 503, *every))
        ),
        "/v2/models/{name}/ready": _of_model(
            name, _get("Whether the model answers.", _READY, (404, *every), not_ready=_READY)
        ),
        "/v2/models/{name}/infer": _of_model(name, _infer((404, *_ASKED, *every))),
        "/health": _get("Whether requests are answered.", _ref("Health"), (421,), not_ready=_ref("Health")),
        "/info": _get("What runs.", _ref("Info"), (503, *every)),
        "/metrics": _get("Figures for Prometheus.", {"type": "string"}, every, media="text/plain"),
        "/openapi.json": _get("This description.", {"type": "object"}, every),
        "/": _get("A page to ask from.", {"type": "string"}, (421,), media="text/html"),
    }
    description: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Edge QA",
            "version": __version__,
            "description": "Answers to questions from a text or from documents, with offsets in code points.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if with_token:
        components_of = description["components"]
        components_of["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"token": []}]
        for path in ("/", "/health", "/v2/health/live", "/v2/health/ready"):
            paths[path]["get"]["security"] = []
    return description


def _post(summary: str, says: str, request: str, response: Json, failures: Iterable[int]) -> Json:
    answer = {
        "description": says,
        "content": {"application/json": {"schema": response}},
        "headers": {DIGEST_HEADER: {"description": "The bundle that answered.", "schema": {"type": "string"}}},
    }
    operation = {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(request)}}},
        "responses": {"200": answer, **_failures(failures)},
    }
    return {"post": operation}


def _infer(failures: Iterable[int]) -> Json:
    path = _post(
        "Answer questions, as the Open Inference Protocol has it.",
        f"With {BINARY_HEADER} in the request, tensors may be bytes behind the JSON.",
        "InferRequest",
        _ref("InferResponse"),
        failures,
    )
    path["post"]["responses"]["200"]["content"]["application/octet-stream"] = {"schema": {}}
    return path


def _get(
    summary: str,
    response: Json,
    failures: Iterable[int],
    *,
    media: str = "application/json",
    not_ready: Json | None = None,
) -> Json:
    responses = {"200": {"description": summary, "content": {media: {"schema": response}}}, **_failures(failures)}
    if not_ready is not None:
        responses["503"] = {"description": _WHY[503], "content": {"application/json": {"schema": not_ready}}}
    return {"get": {"summary": summary, "responses": responses}}


def _of_model(name: str, path: Json) -> Json:
    parameter = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": [name]}}
    return {**path, "parameters": [parameter]}


def _failures(codes: Iterable[int]) -> Json:
    content = {"application/json": {"schema": _ref("Failure")}}
    return {str(code): {"description": _WHY[code], "content": content} for code in sorted(codes)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
