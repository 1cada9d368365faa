"""RoBERTa's byte-level BPE tokenizer from a vocab.json and a merges.txt."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from converters.tokenization.settings import mark_special, special_token
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

_SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def byte_level_bpe(vocabulary: Path, settings: dict[str, Any]) -> Tokenizer:
    """Build RoBERTa's tokenizer from its vocab.json (token -> id) and the merges.txt beside it.

    settings: `add_prefix_space`, `trim_offsets` and the special tokens as tokenizer_config.json
    names them. Raises CheckpointError.
    """
    merges = vocabulary.with_name("merges.txt")
    try:
        for file in (vocabulary, merges):
            refuse_pointer(file, CheckpointError, file)
        vocab = json.loads(vocabulary.read_text(encoding="utf-8"))
        # The first line is the version of the format; after it one pair a line, best first.
        lines = [line for line in merges.read_text(encoding="utf-8").split("\n") if line.strip()]
        pairs = [tuple(line.split(" ")) for line in lines if not line.startswith("#version")]
        tokenizer = Tokenizer(models.BPE(vocab, pairs))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises Exception itself for a merge of unknown tokens
        raise CheckpointError(
            f"cannot be read with {merges.name} beside it ({error})",
            where=vocabulary,
            remedy="download the checkpoint again",
        ) from None
    special = {kind: special_token(settings, kind, default) for kind, default in _SPECIAL.items()}
    cls, sep = special["cls"], special["sep"]
    lost = [token for token in (cls, sep) if token not in vocab]
    if lost:
        raise CheckpointError(f"holds no {', '.join(lost)}", where=vocabulary, remedy="wanted RoBERTa's vocabulary")
    prefix_space = bool(settings.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    mark_special(tokenizer, list(special.values()), mask=special["mask"])
    tokenizer.post_processor = processors.RobertaProcessing(
        (sep, vocab[sep]),
        (cls, vocab[cls]),
        trim_offsets=bool(settings.get("trim_offsets", True)),
        add_prefix_space=prefix_space,
    )
    return tokenizer
