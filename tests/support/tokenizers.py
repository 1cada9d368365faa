"""Small tokenizers of kinds that public checkpoints have, trained on one sentence."""

import base64
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint

SENTENCE = "The harbour of Oslo was opened in 1856, after the queen's visit. Tickets cost 12,50 in Zurich."


def byte_level_bpe(pre_tokenizer: Any, post_processor: Any) -> Tokenizer:
    """A BPE over all bytes with RoBERTa's special tokens: <s> 0, <pad> 1, </s> 2, <unk> 3, <mask> 4."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SENTENCE] * 3, trainer)
    tokenizer.post_processor = post_processor
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def wordpiece(post_processor: Any = None) -> Tokenizer:
    """A lower-casing WordPiece with BERT's special tokens: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4."""
    tokenizer = Tokenizer.from_str(_trained_wordpiece())
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    return tokenizer


@cache
def _trained_wordpiece() -> str:
    # Once: words of one frequency get their ids in another order each time.
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator([SENTENCE] * 3, trainer)
    trained: str = tokenizer.to_str()
    return trained


def bert_template(**templates: str) -> Any:
    """A TemplateProcessing of [CLS] and [SEP]."""
    return processors.TemplateProcessing(**templates, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])


def panicking(*, at_load: bool) -> str:
    """A tokenizer.json whose normalisation makes the library panic: as it is read, or at the first letter."""
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -1.0)], 0, False))
    # A compiled map: the size of its table in bytes, the table, the texts that it points to.
    charsmap = b"" if at_load else struct.pack("<II", 4, 0)
    state = json.loads(unigram.to_str())
    state["normalizer"] = {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(charsmap).decode(),
    }
    return json.dumps(state)


WHOLE_TEMPLATE = bert_template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1")


def checkpoint_with(folder: Path, processor: Any, *, types: int = 2) -> Path:
    """A BERT for the vocabulary of `wordpiece`, whose tokenizer.json has this post-processor."""
    tokenizer = wordpiece(processor)
    words = tokenizer.get_vocab_size()
    tensors = bert_tensors()
    draw = np.random.default_rng(1).normal(0, 0.3, (words, 32)).astype(np.float32)
    tensors["bert.embeddings.word_embeddings.weight"] = draw
    tensors["bert.embeddings.token_type_embeddings.weight"] = draw[:types]
    config = bert_config() | {"vocab_size": words, "type_vocab_size": types}
    write_checkpoint(folder, tensors=tensors, config=config)
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    save_file(tensors, folder / "model.safetensors")
    return folder
