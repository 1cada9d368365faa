"""Requests that nobody should send, each in a connection of its own."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

_HEAD = "POST /v1/question-answering HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def _post(body: bytes) -> bytes:
    return f"{_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


WHOLE = {
    "bad JSON": _post(b'{"inputs": {"question": "a", '),
    "no JSON": _post(b"\x00\x01\x02"),
    "deep": _post(b"[" * 50_000),
    "not UTF-8": _post(b'{"inputs": {"question": "\xff\xfe", "context": "a"}}'),
    "UTF-16": _post('{"inputs": {"question": "a", "context": "b"}}'.encode("utf-16")),
    "lone surrogate": _post(b'{"inputs": {"question": "a", "context": "b \\ud800"}}'),
    "control characters": _post(b'{"inputs": {"question": "a", "context": "\\u0000\\u0001\\u200b"}}'),
    "large integer": _post(
        b'{"inputs": {"question": "a", "context": "b"}, "parameters": {"top_k": ' + b"9" * 5000 + b"}}"
    ),
    "unknown key": _post(b'{"inputs": {"question": "a", "context": "b"}, "__class__": {}}'),
    "one long word": _post(b'{"inputs": {"question": "a", "context": "' + b"x" * 100_000 + b'"}}'),
    "said to be huge": f"{_HEAD}Content-Length: 99999999999\r\n\r\n".encode(),
    "negative length": f"{_HEAD}Content-Length: -5\r\n\r\nabcde".encode(),
    "two lengths": f"{_HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x".encode(),
    "length and chunks": f"{_HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "broken chunk": f"{_HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100 + b"\r\n\r\n",
    "long head": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "wrong host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "pipelined": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
}


async def send_whole(port: int, content: bytes) -> None:
    """Send bytes, read a little, and go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        writer.write(content)
        await asyncio.wait_for(reader.read(4096), 2)
    writer.close()


async def leave_at_once(port: int, content: bytes) -> None:
    """Send a whole request and do not wait for its answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    writer.close()


async def close_half(port: int, content: bytes) -> None:
    """Send half of a request and close the sending half of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        writer.write(content[: len(content) // 2])
        writer.write_eof()
        await asyncio.wait_for(reader.read(4096), 2)
    writer.close()


async def drip(port: int, content: bytes, *, seconds: float = 1.0) -> None:
    """Send a byte now and then."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        for place in range(10):
            writer.write(content[place : place + 1])
            await asyncio.sleep(seconds / 10)
    writer.close()


async def send_one(port: int, draw: random.Random, good: bytes) -> str:
    """Send one of all these; return what it was."""
    request = _post(good)
    behaviours: dict[str, Callable[[], Awaitable[None]]] = {
        "left at once": lambda: leave_at_once(port, request),
        "closed half": lambda: close_half(port, request),
        "drips": lambda: drip(port, request),
    }
    name = draw.choice([*WHOLE, *behaviours])
    with contextlib.suppress(OSError):
        await (behaviours[name]() if name in behaviours else send_whole(port, WHOLE[name]))
    return name
