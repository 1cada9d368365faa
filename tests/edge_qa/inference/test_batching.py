"""Many questions at once give the answers of one by one."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count, islice

import pytest

from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.inference.engine import Engine


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
    assert sizes == [1, 2, 4, 5]


def test_an_error_comes_at_its_pair(qa, pairs):
    source = [pairs[0], pairs[1], (" ", "text"), pairs[2]]
    answers = qa.stream(source)
    assert [next(answers).text, next(answers).text] == [qa.answer(*pair).text for pair in pairs[:2]]
    with pytest.raises(InputError, match="question is empty"):
        next(answers)


def test_an_error_does_not_stop_the_others(qa, pairs):
    source = [pairs[0], (" ", "text"), ("Who?", "\ud800"), pairs[1]]
    outcomes = list(qa.outcomes(source, lambda pair: qa.windows(*pair)))
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True]
    assert "lone surrogate" in str(outcomes[2].error)


def test_lines_without_a_window_are_not_kept_back(qa, pairs):
    taken = count()
    source = ((" ", "text") for _ in range(3000) if next(taken) >= 0)
    outcomes = list(islice(qa.outcomes(source, lambda pair: qa.windows(*pair)), 5))
    assert all("question is empty" in str(outcome.error) for outcome in outcomes)
    assert next(taken) == 5
    # Behind one that has windows they wait, but not for ever.
    taken = count()
    first = (pair for pair in [pairs[0], pairs[1]])
    source = chain(first, ((" ", "text") for _ in range(3000) if next(taken) >= 0))
    assert [outcome.error is None for outcome in islice(qa.outcomes(source, lambda pair: qa.windows(*pair)), 3)] == [
        *(True, True),
        False,
    ]
    assert next(taken) < 300


def test_what_the_source_raises_comes_after_what_it_gave(qa, pairs):
    def source():
        yield from pairs[:5]
        raise OSError("the line is dead")

    got = []
    with pytest.raises(OSError, match="the line is dead"):
        for answer in qa.stream(source()):
            got.append(answer.text)
    assert got == [qa.answer(*pair).text for pair in pairs[:5]]


def test_a_slow_source_is_answered_pair_by_pair(qa, pairs):
    log = []

    def source():
        for number, pair in enumerate(pairs[:4]):
            time.sleep(0.06)
            log.append(f"asks {number}")
            yield pair

    for number, _ in enumerate(qa.stream(source())):
        log.append(f"hears {number}")
    assert log == [f"{what} {number}" for number in range(4) for what in ("asks", "hears")]


def test_a_closed_answerer_ends_a_stream(fp16_bundle, pairs):
    closed = QuestionAnswerer.load(fp16_bundle)
    taken = count()
    answers = closed.stream(pair for _ in range(200) for pair in pairs if next(taken) >= 0)
    next(answers)
    closed.close()
    with pytest.raises(InputError, match="closed"):
        list(answers)
    assert next(taken) < 20


def test_nothing_gives_nothing(qa):
    assert qa.answer_many([]) == []


@pytest.mark.slow
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


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("prompt", [True, False])
def test_a_closer_look_reads_the_passages_of_the_answers_alone(qa, pairs, batch_size, prompt):
    """What the selection then knows of a span is what the passage by itself gives."""
    others = [context for _, context in pairs]
    joined = [(q, "\n\n".join([*others[n : n + 3], c, *others[n + 5 : n + 6]])) for n, (q, c) in enumerate(pairs[:9])]

    def closer(pair, selection):
        return qa.closer_looks(selection, *pair, within="block")

    def windows(pair):
        if not pair[0]:
            raise InputError("no question")
        return qa.windows(*pair, within="block")

    items = [*joined[:4], ("", "Nobody asks."), *joined[4:], ("Who wrote it?", "Ada Lovelace wrote it.")]
    found = list(qa.outcomes(items, windows, top_k=2, batch_size=batch_size, prompt=prompt, rivals=True, closer=closer))
    assert [outcome.item for outcome in found] == items
    assert found[4].error is not None
    assert all(span.alone is None for span in found[-1].spans().spans)  # the passage is the whole text
    long = {context for _, context in pairs if len(context) >= 200 and not re.search(r"\n\s*\n", context)}
    seen = 0
    for (question, context), outcome in zip(joined, [*found[:4], *found[5:-1]], strict=True):
        for span in outcome.spans().spans:
            passage = next(
                (one for one in long if 0 <= context.find(one) <= span.start < context.find(one) + len(one)), None
            )
            if passage is None:
                continue
            begin = context.index(passage)
            if len(list(windows((question, passage)))) > 1:
                assert span.alone is None
                continue
            (alone,) = qa.outcomes([(question, passage)], windows, top_k=None, batch_size=1, rivals=True)
            for one in alone.spans().spans:
                if (one.start + begin, one.end + begin) == (span.start, span.end):
                    assert span.alone == pytest.approx((one.logit, one.null_logit, one.rival_logit), abs=2e-3)
                    seen += 1
    assert seen >= 9


@pytest.mark.slow
def test_of_a_long_text_the_four_likeliest_windows_run_unless_told_otherwise(qa, monkeypatch):
    ran = []
    logits = Engine.logits

    def counted(self, windows, **options):
        ran.extend(windows)
        return logits(self, windows, **options)

    def windows_run(ask) -> int:
        ran.clear()
        answer = ask()
        assert answer.text == "1871"
        assert not answer.partial
        return len(ran)

    monkeypatch.setattr(Engine, "logits", counted)
    question, place = "When was the lighthouse lit?", "The lighthouse on Gull Rock was lit in 1871. "
    filler = "The harbour was quiet that week, and the fog did not lift before noon. "
    long, short = (filler * count + place + filler * count for count in (200, 100))
    assert len(short) < 20_000 < len(long)
    all_of_it = len(list(qa.windows(question, long)))
    assert all_of_it > 20
    assert windows_run(lambda: qa.answer(question, long)) == 4
    assert windows_run(lambda: qa.answer_many([(question, long)])[0]) == 4
    assert windows_run(lambda: next(qa.stream([(question, long)]))) == 4
    assert windows_run(lambda: qa.answer(question, long, shortlist=None)) == all_of_it
    assert windows_run(lambda: qa.answer(question, long, shortlist=2)) == 2
    assert windows_run(lambda: qa.answer(question, long, max_windows=100)) == all_of_it
    assert windows_run(lambda: qa.answer(question, short)) == len(list(qa.windows(question, short)))
