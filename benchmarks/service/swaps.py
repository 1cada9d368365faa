"""Bundles swapped under load: no failed request, and each answer from exactly one bundle."""

import asyncio
import os
import shutil
import tempfile
from math import inf
from pathlib import Path

from benchmarks.service.clients import ask_all_the_time, is_right
from benchmarks.service.load import report
from benchmarks.service.options import Options
from benchmarks.service.questions import Asked, answerer, fields_of, mixed_pairs, serial
from benchmarks.service.served import served
from benchmarks.timing import describe_machine
from tests.support.service import terse_bundle

_CLIENTS = 20
_SWAPPED = 'edge_qa_bundle_swaps_total{result="swapped"}'


async def measure(options: Options) -> int:
    """Print what came from which bundle; 1 if a request failed or an answer is neither bundle's."""
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(options.bundle, home / "whole")
        terse_bundle(home / "terse", options.bundle)
        (home / "current").symlink_to("whole")
        with answerer(options, home / "whole") as whole, answerer(options, home / "terse") as terse:
            pool = serial(mixed_pairs(), whole)
            digests = (whole.manifest.digest, terse.manifest.digest)
            others = {(one.question, one.context): fields_of(terse.answer(one.question, one.context)) for one in pool}

        def right(asked: Asked, content: bytes) -> bool:
            other = Asked(asked.question, asked.context, others[asked.question, asked.context])
            return is_right(asked, content) or is_right(other, content)

        with served(home / "current", *options.of_service()) as one:
            stop = asyncio.Event()
            asking = asyncio.create_task(
                ask_all_the_time(one.port, pool, clients=_CLIENTS, seconds=inf, right=right, stop=stop)
            )
            loop = asyncio.get_running_loop()
            for number in range(1, options.times + 1):
                (home / "next").symlink_to("terse" if number % 2 else "whole")
                os.replace(home / "next", home / "current")
                while await loop.run_in_executor(None, one.metric, _SWAPPED) < number:
                    await asyncio.sleep(0.1)
            stop.set()
            tally = await asking
            report(f"{options.times} swaps", tally, sum(tally.seconds) / _CLIENTS)
            known = {digest: count for digest, count in tally.digests.items() if digest in digests}
            print(f"  answers by bundle: {list(known.values())}; processes at the end: {len(one.workers())}")
            return int(tally.wrong + tally.lost + one.tracebacks() > 0 or sum(known.values()) != tally.answered)
