"""Tokenizers of other languages, and vocabularies that tell case apart: told, where nothing else says so."""

import json
import shutil

import pytest

from converters.conversion import convert
from converters.tokenization.tokenizer import read_tokenizer, read_vocabulary
from edge_qa.errors import CheckpointError, InputError
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.checkpoints import VOCABULARY, write_checkpoint
from tests.support.command import Command
from tests.support.places import GOLDEN_FILES
from tests.support.tokenizers import panicking, wordpiece

GOLDEN = GOLDEN_FILES / "tokenizers"
BERT = {"model_type": "bert"}
NEVER = "there is no tokenizer.json for it, and none can be made; use a model of the language whose tokenizer has one"


def vocabulary(folder, name="bert-cased", **settings):
    """A folder with the vocab.txt of a golden tokenizer, and these settings or none."""
    folder.mkdir()
    shutil.copy(GOLDEN / name / "vocab.txt", folder)
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "PhobertTokenizer", "BertweetTokenizer"])
def test_a_class_without_a_fast_version_is_told_so(tmp_path, name):
    folder = vocabulary(tmp_path / "bert", tokenizer_class=name)
    with pytest.raises(CheckpointError, match=f"{name} splits text with a program of its own; {NEVER}"):
        read_tokenizer(folder, BERT)


def test_phoberts_files_without_a_class_are_told_so(tmp_path):
    folder = vocabulary(tmp_path / "phobert")
    (folder / "bpe.codes").write_text("")
    with pytest.raises(CheckpointError, match=NEVER):
        read_tokenizer(folder, {"model_type": "roberta"})


@pytest.mark.parametrize(
    "settings", [{"word_tokenizer_type": "mecab"}, {"subword_tokenizer_type": "character"}], ids=["words", "pieces"]
)
def test_a_japanese_splitter_without_the_class_is_no_wordpiece(tmp_path, settings):
    folder = vocabulary(tmp_path / "bert", **settings)
    ((key, value),) = settings.items()
    with pytest.raises(CheckpointError, match=f"BertTokenizer with {key} '{value}' splits text"):
        read_tokenizer(folder, BERT)


def test_berts_own_splitters_may_be_named(tmp_path):
    settings = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece", "do_lower_case": True}
    assert read_tokenizer(vocabulary(tmp_path / "bert", **settings), BERT).notes == ()


def test_a_cased_vocabulary_that_nothing_describes_is_told(tmp_path):
    (note,) = read_tokenizer(vocabulary(tmp_path / "cased"), BERT).notes
    assert "have capital letters" in note
    assert "text is lower-cased, unless `cased` says otherwise" in note
    (same,) = read_vocabulary(GOLDEN / "bert-cased" / "vocab.txt").notes
    assert same == note
    assert read_tokenizer(vocabulary(tmp_path / "said", do_lower_case=True), BERT).notes == ()
    assert read_tokenizer(vocabulary(tmp_path / "uncased", "bert-uncased"), BERT).notes == ()


@pytest.mark.parametrize("cased", [True, False])
@pytest.mark.parametrize("name", ["bert-cased", "bert-uncased", "bert-fast-overruled"])
def test_what_the_caller_says_of_case_counts(tmp_path, name, cased):
    folder = tmp_path / name
    shutil.copytree(GOLDEN / name, folder)
    found = read_tokenizer(folder, BERT, cased=cased)
    tokenizer = TextTokenizer(found.content)
    upper, lower = (tokenizer.encode(text, "text").ids.tolist() for text in ("AB", "ab"))
    assert (upper != lower) == cased
    assert found.notes == ()


def test_case_is_no_matter_of_other_kinds(tmp_path):
    with pytest.raises(InputError, match="only a tokenizer of BERT's kind"):
        read_tokenizer(GOLDEN / "roberta", {"model_type": "roberta"}, cased=True)


def test_half_a_character_among_the_settings_is_refused(tmp_path):
    folder = vocabulary(tmp_path / "bert")
    (folder / "tokenizer_config.json").write_text('{"cls_token": "\\ud800"}')
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: not JSON \(.*surrogates"):
        read_tokenizer(folder, BERT)


@pytest.mark.parametrize("at_load", [True, False])
def test_a_panic_of_the_library_is_an_error_of_the_checkpoint(tmp_path, at_load):
    (tmp_path / "tokenizer.json").write_text(panicking(at_load=at_load))
    with pytest.raises(CheckpointError, match=r"its tokenizer cannot be used \("):
        read_tokenizer(tmp_path, BERT)


def test_an_unknown_token_that_the_vocabulary_lacks_is_refused(tmp_path):
    state = json.loads(wordpiece().to_str())
    state["model"]["unk_token"] = "[NIX]"
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=r"unknown words become '\[NIX\]', which the vocabulary lacks"):
        read_tokenizer(tmp_path, BERT)


def test_the_lineage_tells_what_the_caller_said(tmp_path):
    source = write_checkpoint(tmp_path / "source")
    made = [convert(source, tmp_path / str(cased), cased=cased).manifest for cased in (None, True, False)]
    assert [manifest.lineage[0].options.get("cased") for manifest in made] == [None, "true", "false"]


def test_the_command_prints_notes_with_its_own_options(monkeypatch, capsys, tmp_path):
    words = [word.capitalize() if word.isalpha() and len(word) > 3 else word for word in VOCABULARY]
    source = write_checkpoint(tmp_path / "source", vocabulary=words)
    (source / "tokenizer_config.json").unlink()
    command = Command(monkeypatch, capsys)
    (note,) = [line for line in command("convert", source, tmp_path / "a").out.splitlines() if line.startswith("note")]
    assert note.endswith("text is lower-cased, unless --cased says otherwise")
    assert json.loads(command("convert", source, tmp_path / "b", "--cased", "--json").out)["notes"] == []
