"""The queue, by hand: what is taken together, what is refused, and what is passed over."""

import asyncio
import time

import pytest

from edge_qa.service.workers.messages import Answers, Ask, How, Questions
from edge_qa.service.workers.queue import Entry, Queue, QueueFullError, WorkerLostError

SOON = 3600.0


def questions(characters: int, deadline_s: float = SOON) -> Entry:
    """An entry of so many characters, by the queue's guess a quarter as many tokens and 8."""
    return Entry(Questions([("q", "c" * (characters - 1))], How(), time.monotonic() + deadline_s))


def documents() -> Entry:
    return Entry(Ask("who?", 1, None, None, None, None, None, time.monotonic() + SOON))


def in_a_loop(test):
    async def run() -> None:
        test()

    return lambda: asyncio.run(run())


def put(queue: Queue, *entries: Entry) -> None:
    for entry in entries:
        queue.put(entry)


@in_a_loop
def test_entries_are_taken_in_order_up_to_the_budget():
    queue = Queue(10, 10**6)
    first, second, third = (questions(400) for _ in range(3))  # 108 tokens each
    put(queue, first, second, third)
    assert queue.tokens == 324
    assert queue.take(216) == [first, second]
    assert (len(queue), queue.tokens) == (1, 108)
    # What is longer than the budget still runs, alone.
    assert queue.take(5) == [third]
    assert queue.take(5) == []


@in_a_loop
def test_a_question_to_documents_runs_alone():
    queue = Queue(10, 10**6)
    first, asked, last = questions(4), documents(), questions(4)
    put(queue, first, asked, last)
    assert [queue.take(10**6) for _ in range(3)] == [[first], [asked], [last]]


@in_a_loop
def test_what_nobody_waits_for_is_passed_over_and_told():
    queue = Queue(10, 10**6)
    told: list[Entry] = []
    queue.dropped = told.append
    left, late, wanted = questions(4), questions(4, deadline_s=-1), questions(4)
    put(queue, left, late, wanted)
    left.drop()
    assert queue.take(10**6) == [wanted]
    assert told == [left, late]
    assert queue.tokens == 0


@in_a_loop
def test_a_full_queue_makes_room_of_what_nobody_waits_for_and_then_refuses():
    queue = Queue(2, 10**6)
    left, stays = questions(4000), questions(4000)  # 1008 tokens each
    put(queue, left, stays)
    queue.ran([questions(4000)], 3.0)
    with pytest.raises(QueueFullError) as refused:
        queue.put(questions(4))
    assert refused.value.retry_s == 6  # 2,016 tokens that take 3 / 1,008 seconds each
    left.drop()
    queue.put(questions(4))
    assert len(queue) == 2


@in_a_loop
def test_texts_are_bounded_by_bytes_but_one_always_fits():
    queue = Queue(10, 5000)
    queue.put(questions(4000))  # 4 bytes a character at most
    with pytest.raises(QueueFullError):
        queue.put(questions(1))


@in_a_loop
def test_what_no_worker_had_begun_comes_first_again():
    queue = Queue(10, 10**6)
    entries = [questions(4) for _ in range(3)]
    put(queue, *entries)
    taken = queue.take(20)
    assert taken == entries[:2]
    assert not taken[0].waits
    queue.put_back(taken)
    assert taken[0].waits
    assert queue.take(10**6) == entries


@in_a_loop
def test_an_entry_is_finished_once():
    entry, lost = questions(4), questions(4)
    entry.finish(Answers([]), "digest")
    entry.lose()
    assert (entry.result.result(), entry.digest) == (Answers([]), "digest")
    lost.lose()
    lost.finish(Answers([]), "digest")
    assert isinstance(lost.result.exception(), WorkerLostError)
