"""Ask all contenders the same questions in turns, so that a busy moment of the machine meets all of them alike.

A turn is a few questions of one contender; then the next one has its turn with the same questions, and the order
rotates from turn to turn. A turn is longer than one question so that the weights of one do not push those of the
next out of the cache at every question, which would slow all of them.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side.workers import Worker, WorkerError

Pair = tuple[str, str]
# How many questions are kept together on the disk: whole turns, about so many.
_CHUNK = 50
# Threads of some libraries go on spinning for a moment after their answer.
PAUSE = 0.005


def ask_in_turns(
    workers: dict[str, Worker],
    pairs: Sequence[Pair],
    *,
    turn: int,
    failed: dict[str, str],
    first: int = 0,
) -> dict[str, dict[str, list[Any]]]:
    """Return for each contender the milliseconds and texts of the questions, in their order.

    first: how many turns went before, for the rotation. A contender that fails is closed, taken out of `workers`
    and put into `failed` with the reason; what it had answered is dropped.
    """
    found: dict[str, dict[str, list[Any]]] = {name: {"ms": [], "texts": []} for name in workers}
    for number, begin in enumerate(range(0, len(pairs), turn), first):
        if not workers:
            break
        names = list(workers)
        names = names[number % len(names) :] + names[: number % len(names)]
        for name in names:
            time.sleep(PAUSE)
            try:
                for pair in pairs[begin : begin + turn]:
                    seconds, text = workers[name].answer(*pair)
                    found[name]["ms"].append(round(seconds * 1000, 4))
                    found[name]["texts"].append(text)
            except WorkerError as error:
                _drop(name, error, workers, failed)
                del found[name]
    return found


def chunk_of(turn: int) -> int:
    """Return how many questions are kept together: a number of whole turns."""
    return turn * max(1, _CHUNK // turn)


def bulk_in_turns(
    workers: dict[str, Worker], pairs: Sequence[Pair], *, rounds: int, failed: dict[str, str]
) -> dict[str, list[float]]:
    """Return questions per second of each round for each contender: all questions at once, in its own batch way.

    One round before is not timed: it shows every batch shape once.
    """
    found: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(-1, rounds):
        names = list(workers) if number % 2 else list(reversed(workers))
        for name in names:
            time.sleep(PAUSE)
            try:
                seconds, _ = workers[name].answer_many(pairs)
            except WorkerError as error:
                _drop(name, error, workers, failed)
                del found[name]
                continue
            if number >= 0:
                found[name].append(len(pairs) / seconds)
    return found


def _drop(name: str, error: WorkerError, workers: dict[str, Worker], failed: dict[str, str]) -> None:
    workers.pop(name).close()
    failed[name] = str(error)


def close_all(workers: Mapping[str, Worker]) -> None:
    """End all processes."""
    for worker in workers.values():
        worker.close()
