"""How many connections a service opens: none."""

import tempfile
from pathlib import Path

from benchmarks.service.clients import ask_all_the_time
from benchmarks.service.options import Options
from benchmarks.service.questions import answerer, mixed_pairs, serial
from benchmarks.service.served import served


async def measure(options: Options) -> int:
    """Print the count; 1 if there is one."""
    with answerer(options) as alone:
        pool = serial(mixed_pairs(20), alone)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        tracer = ("strace", "-D", "--follow-forks", "--trace=connect,execve", "--output", str(trace))
        with served(options.bundle, *options.of_service(), under=tracer) as one:
            tally = await ask_all_the_time(one.port, pool, clients=4, seconds=5)
        calls = trace.read_text()
    count = calls.count("connect(")
    print(f"{tally.answered} answers, {calls.count('execve(')} programs started, {count} calls of connect()")
    return int(count + tally.wrong + tally.lost > 0)
