"""The wire format of protocol buffers, read field by field, so that the protobuf package is not needed."""

from collections.abc import Iterator
from typing import Any


def fields(data: bytes | memoryview) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of each field of a message: an int, or the bytes of anything else, as a slice of `data`.

    Raises ValueError or IndexError for what is no message.
    """
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if place + size > end:
            raise ValueError("it ends too early")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 64 bits")
