"""Clients in one event loop that cost little beside the service: connections are kept, responses barely parsed."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.service.questions import Asked

PATH = "/v1/question-answering"


@dataclass
class Tally:
    """What clients saw.

    statuses: counts, 0 for a connection that broke. wrong: answers that are not the serial ones.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0
    seconds: list[float] = field(default_factory=list)
    digests: dict[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)

    @property
    def lost(self) -> int:
        return sum(self.statuses.values()) - self.answered

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


class Connection:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body; status 0 where the connection broke."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            head = (
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in lines[1:-2])
            content = await reader.readexactly(int(headers[b"content-length"]))
            return int(lines[0].split()[1]), headers, content
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0, {}, b""

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def is_right(asked: Asked, content: bytes) -> bool:
    """Whether a response is the serial answer to the last bit."""
    answer: Any = json.loads(content)
    return bool(answer == asked.answer)


async def ask_all_the_time(
    port: int,
    pool: Sequence[Asked],
    *,
    clients: int,
    seconds: float,
    right: Callable[[Asked, bytes], bool] = is_right,
    path: str = PATH,
    bodies: Sequence[bytes] | None = None,
    stop: asyncio.Event | None = None,
) -> Tally:
    """Ask from so many clients, each one question after the other, for so many seconds or until `stop`."""
    tally = Tally()
    order = itertools.count()
    content = bodies or [asked.body for asked in pool]
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() < end and not (stop and stop.is_set()):
            place = next(order) % len(pool)
            begin = time.perf_counter()
            status, headers, body = await connection.post(path, content[place])
            tally.seconds.append(time.perf_counter() - begin)
            tally.statuses[status] = tally.statuses.get(status, 0) + 1
            digest = headers.get(b"edge-qa-bundle", b"").decode()
            tally.digests[digest] = tally.digests.get(digest, 0) + 1
            if status == 200 and not right(pool[place], body):
                tally.wrong += 1
            if status in (0, 503):
                await asyncio.sleep(0.05)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return tally
