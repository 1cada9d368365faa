"""The body of a request -> a checked value, or an error that says what is wrong and where."""

import json
import re
from typing import Generic, TypeVar

from edge_qa.errors import missing_extra
from edge_qa.service.network.failures import RequestError

try:
    import msgspec
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

Value = TypeVar("Value")

_SURROGATE = re.compile("[\ud800-\udfff]")


class BodyDecoder(Generic[Value]):
    """Reads JSON of one type."""

    def __init__(self, kind: type[Value]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, body: bytes) -> Value:
        """Return the checked value.

        Raises RequestError: 400 for what is no JSON in UTF-8; 422 for JSON of another type, for values out of their
        range, and for text with lone surrogates, with the place of the first one.
        """
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                400, "encoding", f"the body is not UTF-8 (byte {error.start})", position=error.start
            ) from None
        try:
            value: Value = self._decoder.decode(body)
            return value
        except msgspec.ValidationError as error:
            message, where = _parts(str(error))
            raise RequestError(422, "type", message, where=where) from None
        except (msgspec.DecodeError, RecursionError) as error:
            _look_for_surrogates(body)
            raise RequestError(400, "json", f"the body is no JSON ({error})") from None


def _parts(message: str) -> tuple[str, str | None]:
    """The message and the path of msgspec's "Expected `str`, got `int` - at `$.inputs.question`"."""
    text, _, path = message.rpartition(" - at `")
    if not text:
        return message, None
    # The one pattern there is: a character that can be seen.
    said = "is blank; give some text" if "matching regex" in text else text
    return said, path.rstrip("`").removeprefix("$").removeprefix(".")


def _look_for_surrogates(body: bytes) -> None:
    """Raise the error of a lone surrogate, which JSON can spell with an escape, and which is no character."""
    try:
        found = _first_surrogate(json.loads(body), "")
    except (ValueError, RecursionError):  # too deep to look through
        return
    if found is not None:
        where, position = found
        raise RequestError(
            422,
            "surrogate",
            f"holds a lone surrogate at code point {position}, which is no character",
            where=where,
            position=position,
        )


def _first_surrogate(value: object, where: str) -> tuple[str, int] | None:
    if isinstance(value, str):
        match = _SURROGATE.search(value)
        return None if match is None else (where, match.start())
    children: list[tuple[str, object]] = []
    if isinstance(value, dict):
        children = [(f"{where}.{key}".removeprefix("."), child) for key, child in value.items()]
        if any(_SURROGATE.search(key) for key in value):
            return where, 0
    elif isinstance(value, list):
        children = [(f"{where}[{number}]", child) for number, child in enumerate(value)]
    return next((found for name, child in children if (found := _first_surrogate(child, name))), None)
