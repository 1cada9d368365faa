"""The Open Inference Protocol, version 2, over HTTP: what KServe and its clients speak.

Two inputs, `question` and `context`, both BYTES and of one shape; five outputs of the same shape. The data are JSON or,
where the client sends the header `Inference-Header-Content-Length`, bytes behind the JSON (the extension
`binary_tensor_data`). https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from edge_qa import __version__
from edge_qa.errors import missing_extra
from edge_qa.service.api.binary_tensors import packed, packed_text, unpacked_text
from edge_qa.service.api.decoding import BodyDecoder
from edge_qa.service.api.desk import Desk
from edge_qa.service.api.questions import how_of, json_body, json_response
from edge_qa.service.api.types import MOST_INPUTS, Parameters
from edge_qa.service.network.failures import RequestError
from edge_qa.service.workers.messages import Answers, Found, Questions

try:
    import msgspec
    from msgspec import Meta, Struct
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

INPUTS = ("question", "context")
# Of the outputs: the type in the protocol, and how an answer's value is found.
OUTPUTS = {"answer": "BYTES", "score": "FP64", "confidence": "FP64", "start": "INT64", "end": "INT64"}
BINARY_HEADER = "Inference-Header-Content-Length"
_BINARY = "binary_tensor_data"
_LONGEST_LENGTH = 20

Size = Annotated[int, Meta(ge=0, le=MOST_INPUTS)]
# Rows may be nested, or written one after the other.
Data = list[str | list[str | list[str]]]


class InferInput(Struct, frozen=True):
    """A tensor of texts."""

    name: str
    shape: Annotated[list[Size], Meta(min_length=1, max_length=3)]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Data | None = None


class InferOutput(Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(Struct, frozen=True):
    """Questions and contexts. parameters: those of `Parameters` but for `top_k`; others are passed over."""

    inputs: list[InferInput]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[InferOutput] | None = None


class OutputTensor(Struct, frozen=True, omit_defaults=True):
    """One output."""

    name: str
    shape: list[int]
    datatype: str
    data: list[str | float] | None = None
    parameters: dict[str, int] | None = None


class InferResponse(Struct, frozen=True, omit_defaults=True):
    """All outputs that were asked for."""

    model_name: str
    outputs: list[OutputTensor]
    id: str | None = None


class TensorMetadata(Struct, frozen=True):
    """A tensor that the model takes or gives."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, frozen=True):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Struct, frozen=True):
    """What the service is."""

    name: str
    version: str
    extensions: list[str]


_request = BodyDecoder(InferRequest)


def inference_protocol_routes(desk: Desk, name: str) -> list[Route]:
    """Return the routes. name: of the model."""

    def known(request: Request) -> None:
        if request.path_params["name"] != name:
            raise RequestError(404, "model", f"there is no such model; this service has {name!r}")

    async def server_metadata(request: Request) -> Response:
        return json_response(ServerMetadata("edge-qa", __version__, [_BINARY]))

    async def live(request: Request) -> Response:
        return json_response({"live": True})

    async def ready(request: Request) -> Response:
        response = json_response({"ready": desk.status == "ok"})
        response.status_code = 200 if desk.status == "ok" else 503
        return response

    async def model_ready(request: Request) -> Response:
        known(request)
        response = json_response({"name": name, "ready": desk.status == "ok"})
        response.status_code = 200 if desk.status == "ok" else 503
        return response

    async def model_metadata(request: Request) -> Response:
        known(request)
        outputs = {key: kind for key, kind in OUTPUTS.items() if key != "confidence" or desk.loaded().has_confidence}
        return json_response(
            ModelMetadata(
                name,
                ["1"],
                "edge-qa",
                [TensorMetadata(key, "BYTES", [-1]) for key in INPUTS],
                [TensorMetadata(key, kind, [-1]) for key, kind in outputs.items()],
            )
        )

    async def infer(request: Request) -> Response:
        known(request)
        asked, binary = await _body(request)
        texts, shape = _texts(asked.inputs, binary)
        wanted = _wanted(asked, has_confidence=desk.loaded().has_confidence)
        message = Questions(list(zip(*texts, strict=True)), how_of(_parameters(asked)), desk.deadline())
        result, headers = await desk.answer(request, message)
        assert isinstance(result, Answers)
        return _response(name, asked.id, [answers[0] for answers in result.answers], shape, wanted, headers)

    return [
        Route("/v2", server_metadata),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2/models/{name}", model_metadata),
        Route("/v2/models/{name}/ready", model_ready),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
    ]


async def _body(request: Request) -> tuple[InferRequest, bytes]:
    """The request, and the bytes behind it."""
    header = request.headers.get(BINARY_HEADER)
    if header is None:
        return _request.decode(await json_body(request, or_unsaid=True)), b""
    body = await request.body()
    is_number = header.isascii() and header.isdigit() and len(header) < _LONGEST_LENGTH
    if not is_number or not 0 < int(header) <= len(body):
        raise RequestError(400, "binary", "is no length of a part of the body", where=BINARY_HEADER)
    return _request.decode(body[: int(header)]), body[int(header) :]


def _texts(inputs: Sequence[InferInput], binary: bytes) -> tuple[list[list[str]], list[int]]:
    """The questions and the contexts, and the shape that they have in common. Raises RequestError."""
    found: dict[str, tuple[list[str], list[int]]] = {}
    for tensor in inputs:
        if tensor.name not in INPUTS or tensor.name in found:
            raise RequestError(400, "input", f"got {tensor.name!r}, wanted question and context, once each")
        if tensor.datatype != "BYTES":
            raise RequestError(400, "input", f"got {tensor.datatype!r}, wanted BYTES", where=tensor.name)
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is not None and tensor.data is not None:
            raise RequestError(400, "binary", "got data and binary_data_size, wanted one of them", where=tensor.name)
        if size is None:
            texts = _flat(tensor.data or [])
        elif isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= len(binary):
            texts, binary = unpacked_text(binary[:size], tensor.name), binary[size:]
        else:
            raise RequestError(400, "binary", f"got {size!r}, wanted a part of the bytes", where=tensor.name)
        if math.prod(tensor.shape) != len(texts):
            raise RequestError(400, "shape", f"{tensor.shape} is not {len(texts)} texts", where=tensor.name)
        for number, text in enumerate(texts):
            if not text or text.isspace():
                raise RequestError(422, "blank", "is blank; give some text", where=f"{tensor.name}[{number}]")
        found[tensor.name] = texts, tensor.shape
    if len(found) != len(INPUTS):
        raise RequestError(400, "input", "wanted question and context")
    if binary:
        raise RequestError(
            400,
            "binary",
            f"{len(binary)} bytes of the body belong to no input; each has the parameter binary_data_size",
            where=BINARY_HEADER,
        )
    (questions, shape), (contexts, other) = (found[name] for name in INPUTS)
    if shape != other or not 1 <= len(questions) <= MOST_INPUTS:
        raise RequestError(
            400, "shape", f"got {shape} questions and {other} contexts, wanted one shape of 1 to {MOST_INPUTS} texts"
        )
    return [questions, contexts], shape


def _flat(data: Data | list[str | list[str]] | list[str]) -> list[str]:
    found: list[str] = []
    for value in data:
        if isinstance(value, str):
            found.append(value)
        else:
            found += _flat(value)
    return found


def _parameters(asked: InferRequest) -> Parameters:
    names = set(Parameters.__struct_fields__) - {"top_k"}
    given = {name: value for name, value in (asked.parameters or {}).items() if name in names}
    try:
        parameters: Parameters = msgspec.convert(given, Parameters)
    except msgspec.ValidationError as error:
        raise RequestError(400, "parameter", str(error), where="parameters") from None
    return parameters


def _wanted(asked: InferRequest, *, has_confidence: bool) -> dict[str, bool]:
    """The names of the outputs, and whether each comes as bytes."""
    every = [name for name in OUTPUTS if name != "confidence" or has_confidence]
    if not asked.outputs:
        return dict.fromkeys(every, (asked.parameters or {}).get("binary_data_output") is True)
    for output in asked.outputs:
        if output.name not in every:
            raise RequestError(400, "output", f"got {output.name!r}, wanted some of {', '.join(every)}")
    default = (asked.parameters or {}).get("binary_data_output") is True
    return {output.name: (output.parameters or {}).get("binary_data", default) is True for output in asked.outputs}


def _response(
    name: str,
    identity: str | None,
    answers: Sequence[Found],
    shape: list[int],
    wanted: Mapping[str, bool],
    headers: dict[str, str],
) -> Response:
    outputs, behind = [], b""
    for output, as_bytes in wanted.items():
        values = [getattr(answer, "text" if output == "answer" else output) for answer in answers]
        kind = OUTPUTS[output]
        if as_bytes:
            content = packed_text(values) if kind == "BYTES" else packed(values, kind)
            outputs.append(OutputTensor(output, shape, kind, parameters={"binary_data_size": len(content)}))
            behind += content
        else:
            outputs.append(OutputTensor(output, shape, kind, values))
    response = InferResponse(name, outputs, identity)
    if not behind:
        return json_response(response, headers)
    head = msgspec.json.encode(response)
    return Response(
        head + behind, headers={**headers, BINARY_HEADER: str(len(head))}, media_type="application/octet-stream"
    )
