"""Messages between the service and a worker: a length of four bytes, big-endian, and MessagePack."""

import asyncio
import struct
from typing import BinaryIO, Generic, TypeVar

from edge_qa.errors import missing_extra

try:
    import msgspec
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

Message = TypeVar("Message")

_LENGTH = struct.Struct(">I")
# Bytes; many answers to many questions have a tenth of it.
_LONGEST = 256 * 2**20
_encoder = msgspec.msgpack.Encoder()


def frame(message: object) -> bytes:
    """Return a message as bytes."""
    content: bytes = _encoder.encode(message)
    return _LENGTH.pack(len(content)) + content


class UnreadableError(Exception):
    """What came is no message: the other side is out of its mind, and must go."""


class Frames(Generic[Message]):
    """Reads messages of one type, or of a union of types that carry a tag."""

    def __init__(self, kind: object) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)

    def read(self, source: BinaryIO) -> Message | None:
        """Wait for the next message; None at the end, also in the middle of a message. Raises UnreadableError."""
        head = source.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        content = source.read(length)
        return None if len(content) < length else self._decoded(content)

    async def receive(self, source: asyncio.StreamReader) -> Message | None:
        """Do the same in an event loop."""
        try:
            (length,) = _LENGTH.unpack(await source.readexactly(_LENGTH.size))
            if length > _LONGEST:
                raise UnreadableError(f"a message of {length} bytes")
            return self._decoded(await source.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def _decoded(self, content: bytes) -> Message:
        try:
            message: Message = self._decoder.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableError(str(error)) from None
        return message
