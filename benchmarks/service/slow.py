"""200 connections that drip: how the others fare meanwhile."""

import asyncio
import contextlib

from benchmarks.service.clients import ask_all_the_time
from benchmarks.service.load import report
from benchmarks.service.options import Options
from benchmarks.service.questions import answerer, mixed_pairs, serial
from benchmarks.service.served import served
from benchmarks.timing import describe_machine

_SLOW = 200
_CLIENTS = 8
_ROUNDS = 3
# A head that never ends.
_HEAD = b"POST /v1/question-answering HTTP/1.1\r\nHost: localhost\r\nX-Long: "


async def measure(options: Options) -> int:
    """Print the p99 with and without, in turns; 1 if it more than doubled, or an answer was wrong or lost."""
    print(describe_machine())
    with answerer(options) as alone:
        pool = serial(mixed_pairs(), alone)
    found: dict[bool, list[float]] = {False: [], True: []}
    bad = 0
    with served(options.bundle, *options.of_service()) as one:
        for turn in range(2 * _ROUNDS):
            slow = bool(turn % 2)
            stop = asyncio.Event()
            dripping = [asyncio.create_task(_drip(one.port, stop)) for _ in range(_SLOW if slow else 0)]
            await asyncio.sleep(0.5)
            seconds = options.seconds / (2 * _ROUNDS)
            tally = await ask_all_the_time(one.port, pool, clients=_CLIENTS, seconds=seconds)
            report(f"with {_SLOW} slow connections" if slow else "without", tally, seconds)
            found[slow].append(tally.percentile_ms(0.99))
            bad += tally.wrong + tally.lost
            stop.set()
            await asyncio.gather(*dripping)
    # The quietest turn of each: others on the machine only ever add.
    ratio = min(found[True]) / min(found[False])
    print(f"p99: {ratio:.2f} times that without slow connections")
    return int(bad > 0 or ratio > 2)


async def _drip(port: int, stop: asyncio.Event) -> None:
    """A byte twice a second; again where the service has closed the connection."""
    while not stop.is_set():
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_HEAD)
            while not stop.is_set() and not reader.at_eof():
                writer.write(b"a")
                await asyncio.sleep(0.5)
            writer.close()
