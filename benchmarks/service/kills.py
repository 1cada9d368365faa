"""Workers killed under load: how many requests each kill costs, and with which status."""

import asyncio
import os
import signal
from math import inf

from benchmarks.service.clients import ask_all_the_time
from benchmarks.service.load import report
from benchmarks.service.options import Options
from benchmarks.service.questions import answerer, mixed_pairs, serial
from benchmarks.service.served import served
from benchmarks.timing import describe_machine

_CLIENTS = 20
_REPLACED = "edge_qa_workers_lost_total"


async def measure(options: Options) -> int:
    """Print the statuses; 1 if anything but a 503 came, an answer was wrong, or more was lost than was running."""
    print(describe_machine())
    with answerer(options) as alone:
        pool = serial(mixed_pairs(), alone)
    with served(options.bundle, *options.of_service()) as one:
        stop = asyncio.Event()
        asking = asyncio.create_task(ask_all_the_time(one.port, pool, clients=_CLIENTS, seconds=inf, stop=stop))
        loop = asyncio.get_running_loop()
        for number in range(1, options.times + 1):
            await asyncio.sleep(0.5)
            workers = one.workers()
            os.kill(workers[number % len(workers)], signal.SIGKILL)
            while (
                await loop.run_in_executor(None, one.metric, _REPLACED) < number
                or await loop.run_in_executor(None, one.metric, "edge_qa_workers_ready") < options.workers
            ):
                await asyncio.sleep(0.05)
        stop.set()
        tally = await asking
        batch = one.metric("edge_qa_batch_requests_sum") / one.metric("edge_qa_batch_requests_count")
        report(f"{options.times} kills", tally, sum(tally.seconds) / _CLIENTS)
        lost = tally.statuses.get(503, 0)
        print(f"  {lost / options.times:.1f} requests with 503 a kill; {batch:.1f} requests a batch")
        others = tally.lost - lost
        return int(tally.wrong + others + one.tracebacks() > 0 or lost > options.times * _CLIENTS)
