"""Tokenizers made from checkpoint files, against the goldens of tests/golden/make_tokenizers.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from converters.tokenization.sentencepiece import read_sentencepiece
from converters.tokenization.tokenizer import read_tokenizer
from edge_qa.errors import CheckpointError
from edge_qa.text.tokenizer import TextTokenizer
from edge_qa.text.windows import make_windows
from tests.support.places import GOLDEN_FILES

GOLDEN = GOLDEN_FILES / "tokenizers"
NAMES = sorted(folder.name for folder in GOLDEN.iterdir())
LONGEST, STRIDE = 48, 12


def golden_of(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name / "golden.json").read_text())


def content_of(name: str) -> str:
    return read_tokenizer(GOLDEN / name, {"model_type": golden_of(name)["model_type"]}).content


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_offsets_are_those_of_transformers(name):
    tokenizer = Tokenizer.from_str(content_of(name))
    texts = golden_of(name)["texts"]
    assert len(texts) > 10
    for text, ids, offsets in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        assert encoding.ids == ids, text
        assert encoding.offsets == [tuple(pair) for pair in offsets], text


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_that_a_user_types_are_text(name):
    tokenizer = TextTokenizer(content_of(name))
    for text, ids in golden_of(name)["typed"]:
        assert tokenizer.encode(text, "text").ids.tolist() == ids, text


@pytest.mark.parametrize("name", ["xlm-roberta", "albert"])
def test_special_tokens_are_text_however_the_file_is_laid_out(name):
    tokenizer = TextTokenizer(json.dumps(json.loads(content_of(name)), indent=2, sort_keys=True))
    for text, ids in golden_of(name)["typed"]:
        assert tokenizer.encode(text, "text").ids.tolist() == ids, text


def test_a_vocabulary_may_hold_the_word_unigram(tmp_path):
    folder = copy("bert-cased", tmp_path / "bert")
    words = (folder / "vocab.txt").read_text().split("\n")[:-1]
    (folder / "vocab.txt").write_text("\n".join([*words, "Unigram"]) + "\n")
    tokenizer = TextTokenizer(read_tokenizer(folder, {"model_type": "bert"}).content)
    assert tokenizer.encode("Unigram", "text").ids.tolist() == [len(words)]


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_those_of_transformers(name):
    tokenizer = TextTokenizer(content_of(name))
    for question, context, ids, types in golden_of(name)["windows"]:
        windows = list(
            make_windows(
                tokenizer.encode(question, "question"),
                [tokenizer.encode(context, "context")],
                tokenizer.template,
                max_seq_len=LONGEST,
                doc_stride=STRIDE,
                max_question_len=LONGEST,
            )
        )
        assert [window.input_ids.tolist() for window in windows] == ids
        assert [window.token_type_ids.tolist() for window in windows] == types


# Offsets at which answers are cut: every value by hand.


def pieces(tokenizer: TextTokenizer, text: str) -> list[str]:
    return [text[begin:end] for begin, end in tokenizer.encode(text, "text").offsets.tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_no_piece_begins_or_ends_with_white_space_or_a_half_character(name):
    tokenizer = TextTokenizer(content_of(name))
    for text, *_ in golden_of(name)["texts"]:
        offsets = tokenizer.encode(text, "text").offsets
        assert (offsets[:, 0] <= offsets[:, 1]).all()
        assert (np.diff(offsets[:, 0]) >= 0).all()
        for begin, end in offsets.tolist():
            piece = text[begin:end]
            assert piece == piece.strip()
            assert not piece.startswith(("\u0301", "\u0308", "\u200d", "\ufe0f", "🏽"))
            assert not text[end : end + 1].startswith(("\u0301", "\u0308", "\u200d", "\ufe0f", "🏽"))


@pytest.mark.parametrize(
    "name", ["bert-uncased", "bert-cased", "roberta", "roberta-prefix-space", "xlm-roberta", "albert"]
)
def test_a_letter_keeps_its_combining_accent(name):
    tokenizer = TextTokenizer(content_of(name))
    text = "a Cafe\u0301 b"
    found = [piece for piece in pieces(tokenizer, text) if "e" in piece]
    assert found
    assert all(piece.endswith("e\u0301") for piece in found)
    assert pieces(tokenizer, text)[-1] == "b"


@pytest.mark.parametrize("name", NAMES)
def test_an_emoji_of_several_tokens_is_whole_in_each(name):
    tokenizer = TextTokenizer(content_of(name))
    text = "x 👍🏽 👩\u200d🚀 y"
    found = pieces(tokenizer, text)
    assert set(found) - {""} == {"x", "👍🏽", "👩\u200d🚀", "y"}
    if name.startswith("roberta"):
        assert found.count("👍🏽") > 2


def test_a_word_mark_alone_is_empty_where_its_word_begins():
    tokenizer = TextTokenizer(content_of("xlm-roberta"))
    offsets = tokenizer.encode("x  👍🏽", "text").offsets.tolist()
    assert [3, 3] in offsets
    assert [3, 5] in offsets


# Files that are not what they should be.


def copy(name: str, folder: Path) -> Path:
    shutil.copytree(GOLDEN / name, folder)
    return folder


def fails(folder: Path, model_type: str, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        read_tokenizer(folder, {"model_type": model_type})


def test_an_added_token_with_another_id_is_refused(tmp_path):
    folder = copy("bert-legacy", tmp_path / "bert")
    (folder / "added_tokens.json").write_text('{"newword": 9000}')
    fails(folder, "bert", "newword.*9000")


@pytest.mark.parametrize("added", ['{"a": "x"}', '{"a": null}', '{"": 464}', "[]", "{"])
def test_nonsense_among_the_added_tokens_is_refused(tmp_path, added):
    folder = copy("bert-legacy", tmp_path / "bert")
    (folder / "added_tokens.json").write_text(added)
    fails(folder, "bert", "added")


@pytest.mark.parametrize("name", ["DebertaTokenizer", "PreTrainedTokenizerFast"])
def test_a_vocabulary_of_another_kind_is_refused_with_a_remedy(tmp_path, name):
    folder = copy("bert-uncased", tmp_path / "bert")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    fails(folder, "bert", f"{name}.*save_pretrained")


def test_a_vocabulary_that_is_not_there_is_named(tmp_path):
    folder = copy("roberta", tmp_path / "roberta")
    (folder / "vocab.json").unlink()
    fails(folder, "roberta", r"no vocab\.json for RobertaTokenizer")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocab.json", b""),
        ("vocab.json", b"\xff\xfe"),
        ("vocab.json", b'{"a": "b"}'),
        ("vocab.json", b"[1]"),
        ("merges.txt", b"\xff\xfe"),
        ("merges.txt", b"a b c d"),
        ("merges.txt", b"nowhere else"),
    ],
)
def test_damaged_byte_level_files_are_refused(tmp_path, file, content):
    folder = copy("roberta", tmp_path / "roberta")
    (folder / file).write_bytes(content)
    fails(folder, "roberta", r"vocab\.json")


def test_a_damaged_sentencepiece_model_is_refused_wherever_it_is_cut(tmp_path):
    whole = (GOLDEN / "xlm-roberta" / "sentencepiece.bpe.model").read_bytes()
    model = tmp_path / "sentencepiece.bpe.model"
    refused = 0
    for size in range(0, len(whole), 97):
        model.write_bytes(whole[:size])
        try:
            read_tokenizer(tmp_path, {"model_type": "xlm-roberta"})
        except CheckpointError:
            refused += 1
    # A cut between two fields leaves a valid message of fewer pieces.
    assert refused > 0.8 * len(whole) / 97


def test_a_model_of_another_algorithm_is_refused(tmp_path):
    whole = (GOLDEN / "xlm-roberta" / "sentencepiece.bpe.model").read_bytes()
    # One more TrainerSpec, whose model_type is 2 (BPE): the last one counts.
    (tmp_path / "sentencepiece.bpe.model").write_bytes(whole + bytes([0x12, 2, 0x18, 2]))
    fails(tmp_path, "xlm-roberta", "type 2")


def test_a_model_of_another_family_is_refused(tmp_path):
    shutil.copy(GOLDEN / "albert" / "spiece.model", tmp_path / "sentencepiece.bpe.model")
    fails(tmp_path, "xlm-roberta", "begins with <pad>")


def test_pieces_and_scores_are_read_as_they_are_stored():
    model = read_sentencepiece(GOLDEN / "albert" / "spiece.model")
    assert [piece for piece, _ in model.pieces[:7]] == ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "(", ")"]
    assert model.unknown == 1
    assert all(score == 0 for _, score in model.pieces[:7])
    assert all(-30 < score < 0 for _, score in model.pieces[20:])
    assert len(model.charsmap) > 100
