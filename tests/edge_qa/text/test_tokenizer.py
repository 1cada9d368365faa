"""The runtime's tokenizer on tokenizer.json files of kinds that public checkpoints have."""

import json

import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers, processors

from edge_qa.errors import BundleError
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.tokenizers import SENTENCE, byte_level_bpe, panicking, wordpiece

_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=True)
_SPLITTERS = {
    "whitespace": [pre_tokenizers.Whitespace(), _BYTES],
    "whitespace, then punctuation": [pre_tokenizers.Whitespace(), _BYTES, pre_tokenizers.Punctuation()],
    "whitespace split": [pre_tokenizers.WhitespaceSplit(), _BYTES],
    "split": [pre_tokenizers.Split(Regex(r"\s+"), "removed"), _BYTES],
}
_ROBERTA = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
_TRIMMERS = {
    "roberta": _ROBERTA,
    "byte level": processors.ByteLevel(trim_offsets=True),
    "in a sequence": processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
            ),
        ]
    ),
}


def pieces(tokenizer: TextTokenizer, text: str) -> list[str]:
    return [text[begin:end] for begin, end in tokenizer.encode(text, "text").offsets.tolist()]


@pytest.mark.parametrize("trimmer", _TRIMMERS)
@pytest.mark.parametrize("splitter", _SPLITTERS)
def test_no_word_loses_its_first_letter_to_a_space_that_the_splitter_put_there(splitter, trimmer):
    tokenizer = byte_level_bpe(pre_tokenizers.Sequence(_SPLITTERS[splitter]), _TRIMMERS[trimmer])
    # Every word of the sentence is one token: it was trained on it.
    words = {"The", "harbour", "of", "Oslo", "was", "opened", "in", "1856", "after", "queen", "cost"}
    found = pieces(TextTokenizer(tokenizer.to_str()), SENTENCE)
    assert words <= set(found)
    assert found[:7] == ["The", "harbour", "of", "Oslo", "was", "opened", "in"]


def test_offsets_are_those_of_the_library_without_trimming():
    tokenizer = byte_level_bpe(pre_tokenizers.Sequence(_SPLITTERS["whitespace"]), _ROBERTA)
    state = json.loads(tokenizer.to_str())
    state["post_processor"]["trim_offsets"] = False
    plain = Tokenizer.from_str(json.dumps(state)).encode(SENTENCE, add_special_tokens=False)
    # A space that was put there stands for nothing.
    wanted = [
        [begin, begin if token == "\u0120" else end]
        for token, (begin, end) in zip(plain.tokens, plain.offsets, strict=True)
    ]
    assert TextTokenizer(tokenizer.to_str()).encode(SENTENCE, "text").offsets.tolist() == wanted


@pytest.mark.parametrize("text", [SENTENCE, "  two  spaces, a\ttab", "caf\u00e9 \U0001f680", "x"])
@pytest.mark.parametrize("prefix", [True, False])
def test_an_ordinary_byte_level_tokenizer_gives_the_words_that_it_trims_to(prefix, text):
    roberta = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=prefix)
    tokenizer = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=prefix), roberta)
    trimmed = tokenizer.encode(text, add_special_tokens=False)
    # The library cuts a character of several bytes in parts; ours are whole.
    wanted = [text[begin:end].strip() for begin, end in trimmed.offsets]
    assert pieces(TextTokenizer(tokenizer.to_str()), text) == wanted


def test_the_template_is_read_before_the_post_processor_goes():
    tokenizer = TextTokenizer(byte_level_bpe(_BYTES, _ROBERTA).to_str())
    template = tokenizer.template
    assert (template.before, template.between, template.after) == ((0,), (2, 2), (2,))


# What cannot be used is found at the load, as an error of the bundle.


@pytest.mark.parametrize("at_load", [True, False])
def test_a_panic_of_the_library_is_an_error_of_the_bundle(at_load, capfd):
    with pytest.raises(BundleError, match="cannot be read as a tokenizer"):
        TextTokenizer(panicking(at_load=at_load), "bundle/tokenizer.json")


@pytest.mark.parametrize("kind", ["WordPiece", "WordLevel", "BPE"])
def test_an_unknown_token_that_the_vocabulary_lacks_is_found_at_once(kind):
    state = json.loads(wordpiece().to_str())
    state["model"] = {"type": kind, "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[NIX]"}
    if kind == "WordPiece":
        state["model"] |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    if kind == "BPE":
        state["model"]["merges"] = []
    state["added_tokens"] = []
    with pytest.raises(BundleError, match=r"NIX"):
        TextTokenizer(json.dumps(state))
