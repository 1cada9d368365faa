"""Many requests, one in ten of them hostile: memory and descriptors stay flat, and the log holds no traceback."""

import asyncio
import itertools
import random
import time
from collections import Counter

import numpy as np

from benchmarks.service.clients import PATH, Connection, is_right
from benchmarks.service.hostile import send_one
from benchmarks.service.options import Options
from benchmarks.service.questions import answerer, mixed_pairs, serial
from benchmarks.service.served import served
from benchmarks.timing import describe_machine

_HOSTILE = 0.1
_CLIENTS = 32
_SAMPLES = 40


async def measure(options: Options) -> int:
    """Print the slopes; 1 if an answer was wrong or lost, or the log holds a traceback."""
    print(describe_machine())
    with answerer(options) as alone:
        pool = serial(mixed_pairs(), alone)
    with served(options.bundle, *options.of_service(), "--receive-timeout", "2") as one:
        places, draw = itertools.count(), random.Random(3)
        wrong, lost = 0, Counter[int]()
        hostile = Counter[str]()
        samples: list[tuple[int, float, float, int]] = []
        (worker,) = one.workers()[:1]
        step = max(1, options.requests // _SAMPLES)

        async def client() -> None:
            nonlocal wrong
            connection = Connection(one.port)
            while (place := next(places)) < options.requests:
                if place % step == 0:
                    samples.append((place, one.memory_mb(one.process.pid), one.memory_mb(worker), one.descriptors()))
                asked = pool[place % len(pool)]
                if draw.random() < _HOSTILE:
                    hostile[await send_one(one.port, draw, asked.body)] += 1
                    continue
                status, _, content = await connection.post(PATH, asked.body)
                if status != 200:
                    lost[status] += 1
                elif not is_right(asked, content):
                    wrong += 1
            connection.close()

        begin = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
        took = time.perf_counter() - begin
        await asyncio.sleep(3)  # what drips is given up
        print(f"{options.requests} requests in {took:.0f} s, {sum(hostile.values())} of them hostile: {dict(hostile)}")
        print(f"{wrong} wrong, {sum(lost.values())} lost {dict(lost)}, {one.tracebacks()} tracebacks")
        print(f"workers lost: {one.metric('edge_qa_workers_lost_total'):.0f}")
        later = samples[len(samples) // 4 :]  # after the first quarter everything was met
        for name, column in (("service MB", 1), ("worker MB", 2), ("descriptors", 3)):
            values = [sample[column] for sample in later]
            slope = (
                np.polyfit([sample[0] for sample in later], values, 1)[0] * 10_000 if len(later) > 2 else float("nan")
            )
            print(f"{name}: {values[0]:.1f} at first, {values[-1]:.1f} at last, {slope:+.3f} every 10,000 requests")
        print(f"descriptors at the end: {one.descriptors()}")
        return int(wrong + sum(lost.values()) + one.tracebacks() > 0)
