"""Long texts: pieces give the tokens of the whole, memory does not grow, limits say that they cut."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.text.blocks import block_starts
from edge_qa.text.chunks import tokenize

PARAGRAPH = "The lighthouse keeper noted wind, weather and passing ships; nothing else was ever written there.\r\n\t"
NEEDLE = "Zanzibar Lighthouse was opened in 1907 by Mary Dunmore. "


@pytest.fixture(scope="module")
def qa(int8_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(int8_bundle)


@pytest.fixture(scope="module")
def long_text() -> str:
    return PARAGRAPH * 120 + NEEDLE + PARAGRAPH * 60


@pytest.mark.parametrize("piece", [40, 97, 500])
@pytest.mark.parametrize(
    "text",
    [
        PARAGRAPH * 9,
        "Ünïcödé  wörds\u00a0with   wide \n\n gaps and e\u0301 accents \U0001f680\U0001f680 " * 20,
        " leading and trailing " * 40,
    ],
)
def test_pieces_give_the_tokens_of_the_whole(qa, text, piece):
    whole = qa.tokenizer.encode(text, "text")
    pieces = list(tokenize(qa.tokenizer, text, piece=piece))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([p.ids for p in pieces]), whole.ids)
    np.testing.assert_array_equal(np.concatenate([p.offsets for p in pieces]), whole.offsets)


@pytest.mark.parametrize("piece", [97, 700])
def test_pieces_give_the_blocks_of_the_whole(qa, piece):
    text = "# Rules\n1. Wear a hat.\n2. Bring\n   a rope. 3. Sing.\n\nname,age\nAda,36\nBob,41\n\n- end\n\n" * 30
    (whole,) = tokenize(qa.tokenizer, text, within="block")
    starts = block_starts(text)
    assert len(starts) == 8 * 30 - 1
    np.testing.assert_array_equal(whole.blocks, [(starts <= begin).sum() for begin in whole.offsets[:, 0]])
    pieces = list(tokenize(qa.tokenizer, text, within="block", piece=piece))
    assert len(pieces) > 3
    np.testing.assert_array_equal(np.concatenate([p.blocks for p in pieces]), whole.blocks)


def test_a_text_without_white_space_is_cut_all_the_same(qa):
    text = "你好世界" * 100
    pieces = list(tokenize(qa.tokenizer, text, piece=50))
    assert len(pieces) == 8
    offsets = np.concatenate([p.offsets for p in pieces])
    np.testing.assert_array_equal(offsets[:, 0], np.arange(400))


def test_windows_are_the_same_in_pieces(qa, long_text, monkeypatch):
    whole = list(qa.windows("Who?", long_text))
    monkeypatch.setattr("edge_qa.inference.cutting.PIECE", 100)
    monkeypatch.setattr("edge_qa.text.chunks.tokenize.__kwdefaults__", {"piece": 700})
    pieces = list(qa.windows("Who?", long_text))
    assert len(pieces) == len(whole) > 5
    for a, b in zip(pieces, whole, strict=True):
        np.testing.assert_array_equal(a.input_ids, b.input_ids)
        np.testing.assert_array_equal(a.offsets, b.offsets)


def test_the_needle_is_found(qa, long_text):
    answer = qa.answer("Who opened Zanzibar Lighthouse?", long_text)
    assert answer.text == "Mary Dunmore" == long_text[answer.start : answer.end]
    assert not answer.partial


def test_a_shortlist_finds_it_with_fewer_windows(qa, long_text, monkeypatch):
    runs = []
    run = qa.engine.run
    monkeypatch.setattr(qa.engine, "run", lambda inputs: runs.append(1) or run(inputs))
    answer = qa.answer("Who opened Zanzibar Lighthouse?", long_text, shortlist=2)
    assert (answer.text, len(runs)) == ("Mary Dunmore", 2)
    assert not answer.partial


def test_limits_say_that_the_answer_is_partial(qa, long_text):
    windows = len(list(qa.windows("Who opened it?", long_text)))
    few = qa.answer("Who opened Zanzibar Lighthouse?", long_text, max_windows=2)
    assert few.partial
    assert few.text != "Mary Dunmore"
    assert not qa.answer("Who opened Zanzibar Lighthouse?", long_text, max_windows=windows).partial
    assert qa.answer("Who opened Zanzibar Lighthouse?", long_text, timeout=0).partial
    assert not qa.answer("Who opened Zanzibar Lighthouse?", NEEDLE, timeout=0).partial  # one window is always read
    assert not qa.answer("Who opened Zanzibar Lighthouse?", long_text, timeout=60).partial


def test_limits_leave_the_likeliest_of_a_shortlist(qa, long_text):
    question = "Who opened Zanzibar Lighthouse?"
    answer = qa.answer(question, long_text, shortlist=5, max_windows=1)
    assert answer.text == qa.answer(question, long_text, shortlist=1).text == "Mary Dunmore"
    assert answer.partial
    assert not qa.answer(question, long_text, shortlist=5).partial


def test_a_timeout_holds_for_the_ranking_too(qa, long_text, monkeypatch):
    drawn = []
    windows = qa.windows
    monkeypatch.setattr(qa, "windows", lambda *pair, **how: (drawn.append(1) or window for window in windows(*pair)))
    assert qa.answer("Who opened Zanzibar Lighthouse?", long_text, shortlist=2, timeout=0).partial
    assert len(drawn) <= 3  # the first to rank it, the second to see that it is late, the first again


def test_half_of_a_timeout_goes_to_the_ranking(qa, long_text, monkeypatch):
    ticks = count()  # a second passes each time that somebody looks at the clock
    monkeypatch.setattr("edge_qa.inference.reading.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    passes: list[list[int]] = []
    windows = qa.windows

    def counted(*pair, **how):
        drawn: list[int] = []
        passes.append(drawn)
        return (drawn.append(1) or window for window in windows(*pair))

    monkeypatch.setattr(qa, "windows", counted)
    assert qa.answer("Who opened Zanzibar Lighthouse?", long_text, shortlist=2, timeout=6).partial
    # The clock is looked at before the second window and each one after it: at 3 seconds one is drawn and left.
    assert len(passes[0]) == 4


@pytest.mark.parametrize(("shortlist", "partial"), [(1, False), (2, True)])
def test_a_timeout_between_two_of_a_shortlist_is_told(qa, long_text, monkeypatch, shortlist, partial):
    clock = [0.0]
    monkeypatch.setattr("edge_qa.inference.reading.time", SimpleNamespace(monotonic=lambda: clock[0]))
    run = qa.engine.run

    def slow(inputs):
        clock[0] += 10
        return run(inputs)

    monkeypatch.setattr(qa.engine, "run", slow)
    answer = qa.answer("Who opened Zanzibar Lighthouse?", long_text, shortlist=shortlist, timeout=5)
    assert answer.partial == partial
    assert clock == [10.0]


@pytest.mark.parametrize("option", ["shortlist", "max_windows"])
def test_a_limit_of_nothing_is_refused(qa, option):
    with pytest.raises(InputError, match=f"{option}: got 0, wanted at least 1"):
        qa.answer("Who?", NEEDLE, **{option: 0})
