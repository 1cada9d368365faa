"""SentencePiece models with the whole of NFKC in them, as the real ones have, against transformers itself."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from converters.tokenization.tokenizer import read_tokenizer
from tests.support.places import GOLDEN_FILES

transformers = pytest.importorskip("transformers")
sentencepiece = pytest.importorskip("sentencepiece")

pytestmark = pytest.mark.torch

TEXTS = GOLDEN_FILES / "tokenizers" / "xlm-roberta" / "golden.json"


@pytest.mark.parametrize(
    ("family", "file", "name"),
    [
        ("xlm-roberta", "sentencepiece.bpe.model", "XLMRobertaTokenizerFast"),
        ("camembert", "sentencepiece.bpe.model", "CamembertTokenizerFast"),
        ("albert", "spiece.model", "AlbertTokenizerFast"),
    ],
)
def test_a_model_with_all_of_nfkc_tokenizes_as_in_transformers(tmp_path, questions, family, file, name):
    data = json.loads(questions.read_text(encoding="utf-8"))["data"]
    contexts = [paragraph["context"] for article in data for paragraph in article["paragraphs"]]
    hard = [text for text, *_ in json.loads(TEXTS.read_text())["texts"]]
    special = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*contexts, *hard]),
        model_prefix=str(tmp_path / Path(file).stem),
        vocab_size=900,
        hard_vocab_limit=False,
        control_symbols=["[MASK]"] if family == "albert" else [],
        minloglevel=2,
        **(special if family == "albert" else {}),
    )
    theirs = getattr(transformers, name).from_pretrained(tmp_path)
    ours = Tokenizer.from_str(read_tokenizer(tmp_path, {"model_type": family}).content)
    for text in [*contexts, *hard]:
        wanted = theirs(text, return_offsets_mapping=True)
        got = ours.encode(text)
        assert got.ids == wanted["input_ids"]
        assert got.offsets == [tuple(pair) for pair in wanted["offset_mapping"]]
    wanted, got = theirs(hard[1], contexts[0], return_token_type_ids=True), ours.encode(hard[1], contexts[0])
    assert (got.ids, got.type_ids) == (wanted["input_ids"], wanted["token_type_ids"])
