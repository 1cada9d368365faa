"""Texts in a language that the tokenizer does not know, and texts that only look so."""

import logging

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from converters.tokenization.tokenizer import read_tokenizer
from edge_qa import QuestionAnswerer
from edge_qa.text.legibility import reading_problem
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.places import GOLDEN_FILES
from tests.support.tiny import tiny_bundle

ENGLISH = "The tide rises at noon, and the harbour of Oslo was opened in 1856 after the visit of the queen."
RUSSIAN = "Гавань в Осло была открыта"
THAI = "ท่าเรือออสโลเปิดให้บริการ"
CHINESE = "奥斯陆港于一八五六年开放，在女王访问之后"


def wordpiece(*words: str) -> TextTokenizer:
    """A WordPiece of these words, and of nothing else."""
    vocab = {word: index for index, word in enumerate(["[UNK]", "a", "b", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return TextTokenizer(tokenizer.to_str())


def problem(tokenizer: TextTokenizer, text: str) -> str | None:
    return reading_problem(tokenizer, tokenizer.encode(text, "text"), text)


def golden(name: str, model_type: str) -> TextTokenizer:
    return TextTokenizer(read_tokenizer(GOLDEN_FILES / "tokenizers" / name, {"model_type": model_type}).content)


def test_a_text_of_unknown_words():
    # Every word but "tide": 21 of 25 letters.
    assert problem(wordpiece("tide"), "harbours tide breakwater opened") == (
        "86% of its characters are unknown to the tokenizer"
    )
    assert problem(wordpiece("harbour", "tide", "opened"), "harbour tide opened tide breakwater") is None


def test_a_text_of_another_script():
    assert "unknown" in str(problem(golden("bert-uncased", "bert"), THAI))
    assert "unknown" in str(problem(golden("xlm-roberta", "xlm-roberta"), THAI))
    # Bytes know no unknown words, but two and more of them make a letter.
    assert "shredded into pieces of 0." in str(problem(golden("roberta", "roberta"), RUSSIAN))


def test_words_in_single_letters():
    letters = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    heads = [piece.removeprefix("##") for piece in letters[2:]]
    assert problem(wordpiece(*heads, *letters), "the harbour of oslo was opened") == (
        "its words are shredded into pieces of 1.0 letters"
    )


def test_a_language_that_is_read_character_by_character():
    assert problem(wordpiece(*dict.fromkeys(CHINESE)), " ".join(CHINESE)) is None


@pytest.mark.parametrize("text", ["", "a", "1856 12 7 44 9 1 3 5 8 2 4 6 7 9 0 1", "- - - ; : ! ? ( ) [ ] { } / = + *"])
def test_what_says_nothing_of_a_language(text):
    known = wordpiece(*"0123456789", *[f"##{digit}" for digit in "0123456789"], *";:!?()[]{}/=+*-")
    assert problem(known, text) is None


def test_short_texts_say_nothing():
    assert problem(wordpiece("tide"), "breakwater") is None


def test_an_answerer_warns_once_and_names_the_languages(tmp_path, caplog):
    answerer = QuestionAnswerer.load(tiny_bundle(tmp_path))
    with caplog.at_level(logging.WARNING):
        answerer.answer("who ?", "ada wrote the book")
        assert caplog.messages == []
        answerer.answer("who ?", THAI)
        answerer.answer("who ?", THAI + THAI)
    (message,) = caplog.messages
    assert message == (
        "context: 100% of its characters are unknown to the tokenizer; answers will be poor: "
        "was the model trained on its language (model card: does not say)?"
    )
