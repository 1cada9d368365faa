"""Two Ray workers of one thread beside one process with two threads, in turns, on SQuAD's questions.

    python -m benchmarks.experiments.ray_workers BUNDLE DATA [--questions 2000] [--rounds 3] [--engine openvino]

DATA is a file of SQuAD, gzipped or not. Loading is measured apart and taken off: both begin with a model that is
loaded. Wall time, because that is the question; run it on a quiet machine.
"""

import argparse
import os
import statistics
import time
from itertools import islice
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported

import ray

from edge_qa.bundle.bundle import Bundle
from edge_qa.evaluation.answered_rows import AnswerOptions, answered_rows
from edge_qa.evaluation.rows import Row, stream_rows
from edge_qa.integrations.ray_batch.cluster import Model, RemoteWorker
from edge_qa.integrations.ray_batch.worker import ModelOptions, Worker, bundle_files
from edge_qa.system.machine import this_machine

PART = 100


def main() -> None:
    """Print questions a second of both, and their ratio in the median round."""
    options = _options()
    with options.data.open("rb") as file:
        rows = list(islice(stream_rows(file, options.data.name), options.questions))
    parts = [rows[place : place + PART] for place in range(0, len(rows), PART)]
    model = Model(
        options.bundle.absolute(),
        Bundle.load(options.bundle).manifest.digest,
        bundle_files(options.bundle),
        ModelOptions(engine=options.engine),
    )
    here = Worker(2)
    here.load(str(model.path), model.digest, lambda: model.files, model.options)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    make = ray.remote(num_cpus=1)(RemoteWorker)
    workers = [make.remote(1) for _ in range(2)]
    files = [ray.put(dict(model.files))]
    ray.get([one.load.remote(str(model.path), model.digest, files, model.options) for one in workers])
    ray.get([one.answer.remote(parts[0], AnswerOptions()) for one in workers])  # every length is new once
    list(answered_rows(here._answerer, parts[0], AnswerOptions()))
    one, two = [], []
    for _ in range(options.rounds):
        begin = time.perf_counter()
        expected = [line.line for line in answered_rows(here._answerer, rows, AnswerOptions())]
        one.append(len(rows) / (time.perf_counter() - begin))
        begin = time.perf_counter()
        found = _on_workers(workers, parts)
        two.append(len(rows) / (time.perf_counter() - begin))
        assert b"".join(found) == b"".join(expected)
    ray.shutdown()
    ratio = statistics.median(after / before for before, after in zip(one, two, strict=True))
    print(f"{this_machine(2).cpu}, {len(rows)} questions, {options.rounds} rounds, the same lines")
    print(f"one process, two threads     {statistics.median(one):7.1f} questions/s")
    print(f"two Ray workers, one thread  {statistics.median(two):7.1f} questions/s  ratio {ratio:.2f}")


def _on_workers(workers: list, parts: list[list[Row]]) -> list[bytes]:
    """The parts on whichever worker is free, in their order."""
    found: list[bytes] = [b""] * len(parts)
    left = iter(enumerate(parts))
    running = {}
    for worker in workers:
        for number, part in islice(left, 1):
            running[worker.answer.remote(part, AnswerOptions())] = worker, number
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        worker, number = running.pop(done)
        found[number] = ray.get(done)[0]
        for number, part in islice(left, 1):
            running[worker.answer.remote(part, AnswerOptions())] = worker, number
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=["openvino", "native"], default="openvino")
    return parser.parse_args()


if __name__ == "__main__":
    main()
