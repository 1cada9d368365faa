"""Tokenizers with more ids than the word embeddings have rows: which tokens, and whether text can become them."""

from pathlib import Path

import pytest
from tokenizers import AddedToken

from converters.conversion import convert
from converters.verification.tokenizer import verify_tokenizer
from edge_qa import QuestionAnswerer
from edge_qa.errors import CheckpointError
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.tokenizers import WHOLE_TEMPLATE, checkpoint_with, wordpiece

ROWS = wordpiece().get_vocab_size()


def verify(*added: AddedToken) -> tuple[str, ...]:
    tokenizer = wordpiece(WHOLE_TEMPLATE)
    tokenizer.add_tokens(list(added))
    return verify_tokenizer(tokenizer.to_str(), vocabulary=ROWS, token_types=2, where=Path("checkpoint")).notes


def test_special_tokens_that_no_text_becomes_are_allowed_and_told():
    assert verify(AddedToken("<pad>", special=True), AddedToken("<ctx>", special=True)) == (
        "the word embeddings have no row for '<pad>', '<ctx>', which no text becomes",
    )


def test_a_token_that_text_becomes_is_named_and_refused():
    with pytest.raises(CheckpointError, match=rf"gives ids up to {ROWS}, .* {ROWS} rows; without a row: 'newword'"):
        verify(AddedToken("newword"))
    with pytest.raises(CheckpointError, match=r"without a row: 'w0', 'w1', 'w2', 'w3', 'w4' and 3 more; use the"):
        verify(*(AddedToken(f"w{number}") for number in range(8)))


def test_a_special_token_of_the_template_needs_its_row():
    tokenizer = wordpiece(WHOLE_TEMPLATE)
    # Without [SEP], 3, and all after it.
    with pytest.raises(CheckpointError, match="gives ids up to"):
        verify_tokenizer(tokenizer.to_str(), vocabulary=3, token_types=2, where=Path("checkpoint"))


def test_a_bundle_with_such_a_token_answers_and_never_gives_its_id(tmp_path):
    tokenizer = wordpiece(WHOLE_TEMPLATE)
    source = checkpoint_with(tmp_path / "source", WHOLE_TEMPLATE)
    tokenizer.add_special_tokens([AddedToken("<pad>", special=True)])
    (source / "tokenizer.json").write_text(tokenizer.to_str())
    made = convert(source, tmp_path / "made")
    answerer = QuestionAnswerer.load(made.path)
    assert TextTokenizer(tokenizer.to_str()).encode("a <pad> b", "text").ids.max() < ROWS
    assert answerer.answer("What is <pad>?", "The <pad> opened in 1856.").text
