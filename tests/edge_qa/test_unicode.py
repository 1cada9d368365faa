"""Whatever a text holds, an answer is a stretch of it, of whole characters, without white space around it.

10,000 seeded texts are put together from characters (grapheme clusters) that never join their neighbours,
so that the places where an answer may begin and end are known by construction.
"""

import random
import unicodedata
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.conversion import convert
from edge_qa import Bundle, InputError, QuestionAnswerer, pipeline
from edge_qa.inference.spans import CHARACTERS_PER_TOKEN
from edge_qa.text.chunks import tokenize
from tests.support.tiny import tiny_bundle

SEED, CASES = 20, 10_000
QUESTION = "who wrote the book ?"

# Every item is a list of characters; none of them joins what may stand before or after it.
SPACES = [[c] for c in (*"    \t\n\x0b\x85\u00a0\u3000\u2028\u2029", "  ", "\r\n")]
WORDS = "ada wrote the book of iron bridges in london 1843 zoë straße"
SIGNS = "? ! ... “a” (b) — 50% $3.5 a/b \\ ` ½ ﬁ ǅ İ ß Å ﷺ 𝔸 𝒳₂"
SPECIAL = "[SEP] [CLS] [PAD] [MASK] [UNK] <s> </s> <mask> <pad> ##s ▁ Ġ"
ITEMS = {
    "word": [list(word) for word in WORDS.split()],
    "sign": [list(sign) for sign in SIGNS.split()],
    "special": [list(name) for name in SPECIAL.split()],
    "accent": [["e\u0301"], ["a\u0308\u0323", "b"], ["c", "o\u0302\u0301", "t"], ["Z\u0351\u036b\u0343\u0321"]],
    "emoji": [["👍"], ["👍🏽"], ["👩\u200d🚀"], ["👨\u200d👩\u200d👧\u200d👦"], ["❤\ufe0f"], ["1\ufe0f\u20e3"]],
    "flag": [["🇫🇷"], ["🇩🇪", "🇯🇵"], ["🏴\U000e0067\U000e0062\U000e0065\U000e007f"], ["🏳\ufe0f\u200d🌈"]],
    "hebrew": [list("שלום"), ["ש\u05c1\u05b8", "ל"], ["\u200f", "א"]],
    "arabic": [list("مرحبا"), ["م\u064e\u0651"], ["م", "ی\u200c", "خ"], ["\u202e", "a", "\u202c"]],
    "east asian": [list("東京"), list("こんにちは"), ["か\u3099"], ["ﾊ\uff9f"]],
    "hangul": [list("한국"), ["\u1112\u1161\u11ab", "\u1100\u116e\u11a8"], ["가\u11a8"]],
    "south asian": [["न", "म", "ते"], ["ம", "ணி"], ["ก", "น\u0e33"], ["ལ\u0f7c"]],
    "zero width": [["\u200b"], ["\ufeff"], ["\u2060"], ["\u00ad"], ["a\u200c", "b"], ["a\u200db"]],
    "control": [["\x00"], ["\x1b", "[", "0", "m"], ["\x7f"], ["\x9f"], ["\ufffd"], ["\U0010ffff"], ["\x07", "\u0301"]],
    "stray mark": [[" ", "\u0301"], ["\n", "\u20e3\ufe0f"], ["\t", "🏽"]],
    "long": [["x"] * 99, ["x"] * 101, ["e\u0301"] * 120, list("0123456789abcdef" * 16), ["漢"] * 150],
}
KINDS = list(ITEMS)
WEIGHTS = [8 if kind == "word" else 0.3 if kind == "long" else 1 for kind in KINDS]


def make_texts(seed: int, count: int) -> list[list[str]]:
    """Texts as lists of characters, each with a word in it."""
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        items = [draw.choice(ITEMS[kind]) for kind in draw.choices(KINDS, WEIGHTS, k=draw.randint(1, 12))]
        items.insert(draw.randint(0, len(items)), draw.choice(ITEMS["word"]))
        text: list[str] = []
        for item in items:
            text += item + (draw.choice(SPACES) if draw.random() < 0.7 else [])
        texts.append(text)
    return texts


@pytest.fixture(scope="module")
def texts():
    """(context, the places where an answer may begin or end)."""
    return [("".join(text), {0, *accumulate(map(len, text))}) for text in make_texts(SEED, CASES)]


@pytest.fixture(scope="module", params=["WordPiece", "byte-level BPE", "Unigram"])
def qa(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unicode")
    if request.param == "WordPiece":
        return QuestionAnswerer.load(tiny_bundle(folder))
    family = {"byte-level BPE": "roberta", "Unigram": "xlm-roberta"}[request.param]
    checkpoint = request.config.rootpath / "tests" / "golden" / "families" / family
    bundle = Bundle.load(convert(checkpoint, folder / "bundle").path)
    # These models take 96 tokens, less than the usual overlap of two windows.
    defaults = replace(bundle.manifest.defaults, doc_stride=24)
    return QuestionAnswerer(replace(bundle, manifest=replace(bundle.manifest, defaults=defaults)))


def assert_clean(context: str, start: int, end: int, allowed: set[int]) -> None:
    assert 0 <= start < end <= len(context)
    assert start in allowed
    assert end in allowed
    assert not context[start].isspace()
    assert not context[end - 1].isspace()


@pytest.mark.slow
def test_every_answer_is_a_clean_stretch_of_its_context(qa, texts):
    # Where a text is cut into many windows, a part has to do; all 10,000 passed, too, when this was written.
    texts = texts if qa.max_seq_len > 96 else texts[: CASES // 5]
    answers = qa.stream((QUESTION, context) for context, _ in texts)
    for answer, (context, allowed) in zip(answers, texts, strict=True):
        assert answer.text == context[answer.start : answer.end]
        assert_clean(context, answer.start, answer.end, allowed)
        assert 0 < answer.score <= 1


@pytest.mark.parametrize("align", [False, True])
def test_every_token_begins_and_ends_between_characters(qa, texts, align):
    """Whatever the model says: an answer begins where some token does, and ends where one does."""
    for context, allowed in texts[:500]:
        offsets = qa.tokenizer.encode(context, "context", align=align).offsets
        for start, end in set(map(tuple, offsets[offsets[:, 0] < offsets[:, 1]].tolist())):
            assert_clean(context, start, end, allowed)


def test_the_pipeline_too(qa, texts):
    results = pipeline(model=qa)(question=[QUESTION] * 500, context=[context for context, _ in texts[:500]], top_k=3)
    for result, (context, allowed) in zip(results, texts, strict=False):
        for answer in [result] if isinstance(result, dict) else result:
            assert answer["answer"] == context[answer["start"] : answer["end"]]
            assert_clean(context, answer["start"], answer["end"], allowed)


@settings(max_examples=300, deadline=None)
@given(question=st.text(max_size=20), context=st.text(max_size=60))
def test_anything_at_all_is_answered_or_refused(tiny_qa, question, context):
    try:
        answer = tiny_qa.answer(question, context)
    except InputError as error:
        refused = str(error)
    else:
        assert answer.text == context[answer.start : answer.end] == answer.text.strip() != ""
        return
    if question.strip() and context.strip():
        what, _, said = refused.partition(" ")
        assert said.startswith("is empty once tokenized")
        text = {"context": context, "question": question}[what]
        assert all(unicodedata.category(character)[0] in "CZM" for character in text)


@settings(max_examples=100, deadline=None)
@given(before=st.text(max_size=5), code=st.integers(0xD800, 0xDFFF), after=st.text(max_size=5))
def test_a_lone_surrogate_is_refused(tiny_qa, before, code, after):
    text = before + chr(code) + after
    with pytest.raises(InputError, match="context: holds a lone surrogate"):
        tiny_qa.answer("who ?", text)
    with pytest.raises(InputError, match="question: holds a lone surrogate"):
        tiny_qa.answer(text, "ada wrote")


@pytest.fixture(scope="module")
def tiny_qa(tmp_path_factory):
    return QuestionAnswerer.load(tiny_bundle(tmp_path_factory.mktemp("unicode")))


@pytest.mark.parametrize("character", ["x", "e\u0301", "👍🏽", "漢", "\u1112\u1161\u11ab"])
def test_a_megabyte_without_a_space_is_no_answer(qa, character):
    context = character * (1_000_000 // len(character))
    answer = qa.answer(QUESTION, context, max_windows=20, max_answer_len=30)
    assert len(answer.text) <= 30 * CHARACTERS_PER_TOKEN
    assert answer.text == context[answer.start : answer.end]
    assert answer.start % len(character) == answer.end % len(character) == 0


@pytest.mark.parametrize("character", ["e\u0301\u0323", "\u1112\u1161\u11ab", "👩\u200d🚀"])
@pytest.mark.parametrize("piece", [40, 41, 100])
def test_a_text_in_pieces_is_cut_between_characters(qa, character, piece):
    context = character * 200
    for tokens in tokenize(qa.tokenizer, context, piece=piece):
        assert not (tokens.offsets % 3).any()


def test_a_monstrous_character_is_cut_all_the_same(qa):
    context = "e" + "\u0301" * 1000
    assert len(list(tokenize(qa.tokenizer, context, piece=100))) == 11


def test_an_answer_stands_beside_a_word_without_end_and_not_across_it(tiny_qa):
    context = "ada " + "x" * 50_000 + " wrote"
    spans = {(one.start, one.end) for one in tiny_qa.answer("who ?", context, top_k=10)}
    assert spans <= {(0, 3), (50_005, 50_010), (0, 0)}
    (window,) = tiny_qa.windows("who ?", context)
    np.testing.assert_array_equal(window.offsets, [[0, 3], [4, 50_004], [50_005, 50_010]])


def test_white_space_without_end_is_no_answer_either(tiny_qa):
    context = "ada" + " " * 1_000_000 + "wrote"
    assert {one.text for one in tiny_qa.answer("who ?", context, top_k=10)} == {"ada", "wrote"}
