"""Many clients at once: right answers, none lost, and the rate beside `answer_many` and beside a loop of others."""

import json
import resource
import time
from importlib.util import find_spec

from benchmarks.service.clients import Tally, ask_all_the_time
from benchmarks.service.options import Options
from benchmarks.service.questions import Asked, answerer, mixed_pairs, serial
from benchmarks.service.rival import rival_served
from benchmarks.service.served import served
from benchmarks.timing import describe_machine


async def measure(options: Options) -> int:
    """Print the figures; 1 if an answer was wrong or lost."""
    print(describe_machine())
    pairs = mixed_pairs()
    with answerer(options) as alone:
        pool = serial(pairs, alone)
        alone.warm_up()
        rate, cpu = answer_many_rate(alone, pairs, min(options.seconds, 20))
    print(f"answer_many: {rate:.1f} questions/s, {cpu * 1000:.2f} ms of CPU time each")
    with served(options.bundle, *options.of_service()) as one:
        await ask_all_the_time(one.port, pool, clients=options.clients, seconds=2)  # the first connections
        begin, of_service, of_clients = time.perf_counter(), one.cpu_seconds(), _cpu_seconds()
        of_front = one.cpu_seconds(workers=False)
        tally = await ask_all_the_time(one.port, pool, clients=options.clients, seconds=options.seconds)
        took = time.perf_counter() - begin
        of_service, of_clients = one.cpu_seconds() - of_service, _cpu_seconds() - of_clients
        of_front = one.cpu_seconds(workers=False) - of_front
        report("edge-qa serve", tally, took)
        each = of_service / max(1, tally.answered)
        print(
            f"  {tally.answered / took / rate:.1%} of answer_many's rate, with clients that took "
            f"{of_clients / (of_clients + of_service):.0%} of the CPU time; {each * 1000:.2f} ms of CPU time each, "
            f"{of_front / max(1, tally.answered) * 1000:.2f} of them outside the workers; answer_many's is "
            f"{cpu / each:.1%} of it"
        )
        batches = one.metric("edge_qa_batch_requests_count")
        print(f"  {one.metric('edge_qa_batch_requests_sum') / batches:.1f} requests a batch")
        wrong = tally.wrong + tally.lost + one.tracebacks()
    if all(find_spec(name) for name in ("fastapi", "transformers", "torch")):
        with rival_served(options) as one:
            bodies = [json.dumps({"question": asked.question, "context": asked.context}).encode() for asked in pool]
            begin = time.perf_counter()
            other = await ask_all_the_time(
                one.port,
                pool,
                clients=options.clients,
                seconds=options.seconds,
                right=_any_answer,
                path="/answer",
                bodies=bodies,
            )
            report("FastAPI and transformers", other, time.perf_counter() - begin)
    else:
        print("FastAPI and transformers: not installed (pip install fastapi, and the extra torch)")
    return int(wrong > 0)


def answer_many_rate(alone: object, pairs: list[tuple[str, str]], seconds: float) -> tuple[float, float]:
    """Questions a second, and CPU seconds of each."""
    begin, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds:
        done += len(alone.answer_many(pairs))  # type: ignore[attr-defined]
    return done / (time.perf_counter() - begin), (time.process_time() - cpu) / done


def report(name: str, tally: Tally, seconds: float) -> None:
    """Print what clients saw."""
    print(
        f"{name}: {tally.answered} answers in {seconds:.1f} s, {tally.answered / seconds:.1f}/s; "
        f"p50 {tally.percentile_ms(0.5):.0f} ms, p99 {tally.percentile_ms(0.99):.0f} ms; "
        f"{tally.wrong} wrong, {tally.lost} lost {dict(sorted(tally.statuses.items()))}"
    )


def _any_answer(asked: Asked, content: bytes) -> bool:
    return "answer" in json.loads(content)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
