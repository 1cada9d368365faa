"""What goes wrong with a request, as a status and JSON: `{"error": "...", "kind": "..."}`.

`error` is text, which is what the clients of Hugging Face and of the Open Inference Protocol show.
"""

from edge_qa.errors import missing_extra

try:
    import msgspec
    from starlette.responses import Response
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every response that is no answer.

    where: the part of the request. position: a code point in that text, from 0.
    """

    error: str
    kind: str
    where: str | None = None
    position: int | None = None


class RequestError(Exception):
    """A request that is not answered. status: of HTTP. kind: one word, which metrics count."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        where: str | None = None,
        position: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.failure = Failure(message, kind, where, position)

    def response(self) -> Response:
        """Return it as a response."""
        content = msgspec.json.encode(self.failure)
        return Response(content, self.status, headers=self.headers, media_type="application/json")


def too_slow() -> RequestError:
    """Return the error of a request that took too long to arrive."""
    return RequestError(408, "slow", "the request took too long to arrive", headers={"Connection": "close"})


def too_large(most: int) -> RequestError:
    """Return the error of a body of more than `most` bytes."""
    return RequestError(413, "large", f"the body has more than {most} bytes, the most here")
