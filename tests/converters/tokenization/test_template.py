"""Tokenizers without special tokens around a pair: put right where it is certain, refused where not."""

import json

import pytest
from tokenizers import pre_tokenizers, processors

from converters.conversion import convert
from converters.importing.import_model import import_model
from converters.tokenization.tokenizer import read_tokenizer
from edge_qa import QuestionAnswerer
from edge_qa.errors import CheckpointError
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.foreign_models import make_encoder, save, zoo_model
from tests.support.tokenizers import WHOLE_TEMPLATE, bert_template, byte_level_bpe, checkpoint_with, wordpiece

# [CLS] 2, [SEP] 3; <s> 0, </s> 2.
BROKEN = {
    "none": None,
    "single only": bert_template(single="[CLS] $A [SEP]"),
    "without the last": bert_template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1"),
    "words": processors.BertProcessing(("h", 8), ("i", 9)),
}
BYTES = pre_tokenizers.ByteLevel()


def read(folder, tokenizer, model_type, **settings):
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return read_tokenizer(folder, {"model_type": model_type})


@pytest.mark.parametrize("model_type", ["bert", "electra", "mobilebert", "distilbert", "masked_bert"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_wordpiece_gets_what_bert_has(tmp_path, broken, model_type):
    found = read(tmp_path, wordpiece(BROKEN[broken]), model_type)
    template = TextTokenizer(found.content).template
    assert (template.before, template.between, template.after) == ((2,), (3,), (3,))
    assert (template.before_types, template.question_type, template.between_types) == ((0,), 0, (0,))
    assert (template.context_type, template.after_types) == (1, (1,))
    (note,) = found.notes
    assert "[CLS] and [SEP] were put there" in note


@pytest.mark.parametrize("model_type", ["roberta", "camembert", "xlm-roberta"])
@pytest.mark.parametrize("broken", [None, processors.ByteLevel(trim_offsets=True)])
def test_a_byte_level_bpe_gets_what_roberta_has(tmp_path, broken, model_type):
    found = read(tmp_path, byte_level_bpe(BYTES, broken), model_type)
    template = TextTokenizer(found.content).template
    assert (template.before, template.between, template.after) == ((0,), (2, 2), (2,))
    assert {template.question_type, template.context_type, *template.after_types} == {0}
    assert len(found.notes) == 1


def test_the_tokens_are_those_that_the_checkpoint_names(tmp_path):
    found = read(tmp_path, wordpiece(), "bert", cls_token="[MASK]", sep_token={"content": "[PAD]"})
    template = TextTokenizer(found.content).template
    assert (template.before, template.between, template.after) == ((4,), (0,), (0,))


def test_the_class_of_the_tokenizer_decides_before_the_model(tmp_path):
    # Korean RoBERTas have BERT's tokenizer.
    found = read(tmp_path, wordpiece(), "roberta", tokenizer_class="BertTokenizerFast")
    assert TextTokenizer(found.content).template.between == (3,)


@pytest.mark.parametrize(
    ("tokenizer", "model_type"),
    [(wordpiece(), "roberta"), (byte_level_bpe(BYTES, None), "bert")],
    ids=["roberta", "bert"],
)
def test_what_is_not_certain_is_refused(tmp_path, tokenizer, model_type):
    with pytest.raises(CheckpointError, match="puts no special token before the question, between the two, after"):
        read(tmp_path, tokenizer, model_type)


@pytest.mark.parametrize(
    ("processor", "model_type"),
    [
        (WHOLE_TEMPLATE, "bert"),
        (processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), "bert"),
        # Multilingual MiniLM is a BERT with the tokenizer of XLM-R, which puts two between.
        (bert_template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]"), "bert"),
    ],
)
def test_a_whole_template_is_left_alone(tmp_path, processor, model_type):
    before = wordpiece(processor)
    found = read(tmp_path, before, model_type)
    assert found.notes == ()
    assert TextTokenizer(found.content).template == TextTokenizer(before.to_str()).template


def test_an_architecture_of_another_kind_is_only_told(tmp_path):
    found = read(tmp_path, wordpiece(), "xlnet")
    assert found.notes == (
        "the tokenizer puts no special token before the question, between the two, after the context",
    )
    assert TextTokenizer(found.content).template.special_tokens == 0


# What comes out of a conversion.


def test_a_converted_bundle_answers_as_with_a_whole_tokenizer(tmp_path):
    made = [
        convert(checkpoint_with(tmp_path / name, processor), tmp_path / f"{name}.bundle")
        for name, processor in (("whole", WHOLE_TEMPLATE), ("broken", None))
    ]
    whole, broken = (QuestionAnswerer.load(one.path).answer("When?", "The harbour opened in 1856.") for one in made)
    assert broken == whole
    assert [len(one.notes) for one in made] == [0, 1]


def test_an_imported_bundle_gets_the_template_too(tmp_path):
    tokenizer = wordpiece()
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    model = save(zoo_model(make_encoder(words=tokenizer.get_vocab_size())), tmp_path / "model.xml")
    made = import_model(model, tmp_path / "made", tokenizer=tmp_path / "tokenizer.json")
    assert QuestionAnswerer.load(made.path).tokenizer.template.between == (3,)
    assert any("[CLS] and [SEP] were put there" in note for note in made.notes)


def test_token_types_that_are_all_zero_are_told(tmp_path):
    flat = bert_template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]")
    wanted = "the tokenizer gives question and context the same token type, 0, where the model tells 2 apart"
    assert convert(checkpoint_with(tmp_path / "two", flat), tmp_path / "a").notes == (wanted,)
    # A model of one type has nothing to tell apart.
    assert convert(checkpoint_with(tmp_path / "one", flat, types=1), tmp_path / "b").notes == ()


def test_a_token_type_beyond_the_table_is_refused(tmp_path):
    beyond = bert_template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:2 [SEP]:2")
    with pytest.raises(CheckpointError, match="gives token types up to 2, the model has 2"):
        convert(checkpoint_with(tmp_path / "source", beyond), tmp_path / "made")
