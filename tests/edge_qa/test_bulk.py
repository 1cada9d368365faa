"""Many questions at once give the answers of one by one."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import pytest

from edge_qa import QuestionAnswerer
from edge_qa.bulk import select_many
from edge_qa.dataset import read_dataset
from edge_qa.engine import Engine
from edge_qa.errors import InputError


@pytest.fixture(scope="module")
def qa(fp16_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(fp16_bundle)


@pytest.fixture(scope="module")
def pairs(questions) -> list[tuple[str, str]]:
    return [(e.question, e.context) for e in read_dataset(questions).examples][::11]


def test_answers_are_those_of_one_by_one_in_order(qa, pairs):
    long = ("Who wrote it?", "Nothing of note was written on that day. " * 120 + "Ada Lovelace wrote it.")
    mixed = [*pairs[:10], long, *pairs[10:]]
    many = qa.answer_many(mixed)
    single = [qa.answer(*pair) for pair in mixed]
    assert [(a.text, a.start, a.end) for a in many] == [(a.text, a.start, a.end) for a in single]
    assert [a.score for a in many] == pytest.approx([a.score for a in single], abs=1e-4)


def test_a_stream_takes_no_more_than_it_needs(qa, pairs):
    taken = count()
    source = (pair for _ in iter(int, 1) for pair in pairs if next(taken) >= 0)
    answers = list(islice(qa.stream(source), 10))
    assert answers[0].text == qa.answer(*pairs[0]).text
    assert next(taken) < 60


def test_only_a_stream_begins_with_small_blocks(qa, pairs, monkeypatch):
    sizes = []
    logits = Engine.logits

    def counted(self, windows, **options):
        sizes.append(len(windows))
        return logits(self, windows, **options)

    monkeypatch.setattr(Engine, "logits", counted)
    short = [(question, "Ada Lovelace wrote it.") for question, _ in pairs[:12]]
    qa.answer_many(short)
    assert sizes == [12]
    sizes.clear()
    list(qa.stream(short))
    assert sizes == [4, 8, 0]


def test_an_error_comes_at_its_pair(qa, pairs):
    source = [pairs[0], pairs[1], (" ", "text"), pairs[2]]
    answers = qa.stream(source)
    assert [next(answers).text, next(answers).text] == [qa.answer(*pair).text for pair in pairs[:2]]
    with pytest.raises(InputError, match="question is empty"):
        next(answers)


def test_an_error_does_not_stop_the_others(qa, pairs):
    source = [pairs[0], (" ", "text"), ("Who?", "\ud800"), pairs[1]]
    outcomes = list(select_many(qa, source, max_answer_len=30))
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True]
    assert "lone surrogate" in str(outcomes[2].error)


def test_nothing_gives_nothing(qa):
    assert qa.answer_many([]) == []


def test_many_threads_give_the_serial_answers(qa, pairs):
    serial = [qa.answer(*pair) for pair in pairs]
    with ThreadPoolExecutor(32) as pool:
        for answers in pool.map(lambda _: [qa.answer(*pair) for pair in pairs[:6]], range(32)):
            assert answers == serial[:6]


def test_a_forked_child_answers(qa, pairs):
    wanted = qa.answer(*pairs[0])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, qa.answer(*pairs[0]).text.encode())
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1000).decode() == wanted.text
    assert os.waitpid(child, 0)[1] == 0


def test_a_closed_answerer_says_so(fp16_bundle, pairs):
    with QuestionAnswerer.load(fp16_bundle) as closing:
        assert closing.answer(*pairs[0]).text
    with pytest.raises(InputError, match="this answerer is closed"):
        closing.answer(*pairs[0])
