"""Tensors as bytes, as the extension `binary_tensor_data` of the Open Inference Protocol has them.

Numbers are little-endian, one after the other; a text is its length in four bytes, little-endian, and UTF-8.
"""

import struct
from collections.abc import Sequence

from edge_qa.service.network.failures import RequestError

_LENGTH = struct.Struct("<I")
_FORMATS = {"FP64": "d", "INT64": "q"}


def packed(values: Sequence[float], kind: str) -> bytes:
    """Return numbers of a type of the protocol, FP64 or INT64, as bytes."""
    return struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)


def packed_text(texts: Sequence[str]) -> bytes:
    """Return texts as bytes."""
    contents = [text.encode() for text in texts]
    return b"".join(_LENGTH.pack(len(content)) + content for content in contents)


def unpacked_text(content: bytes, where: str) -> list[str]:
    """Return the texts in bytes. Raises RequestError for what is cut off or not UTF-8; where: names them there."""
    texts: list[str] = []
    place = 0
    while place < len(content):
        begin = place + _LENGTH.size
        if begin > len(content):
            raise RequestError(400, "binary", "a length is cut off", where=where)
        (length,) = _LENGTH.unpack_from(content, place)
        place = begin + length
        if place > len(content):
            raise RequestError(400, "binary", "a text is cut off", where=where)
        try:
            texts.append(content[begin:place].decode())
        except UnicodeDecodeError as error:
            raise RequestError(
                422, "encoding", f"is not UTF-8 (byte {error.start})", where=f"{where}[{len(texts)}]"
            ) from None
    return texts
