"""BERT's WordPiece tokenizer from a vocab.txt."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from converters.tokenization.settings import mark_special, special_token
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

_SPECIAL = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}


def wordpiece(vocabulary: Path, settings: dict[str, Any]) -> Tokenizer:
    """Build BERT's WordPiece tokenizer from its vocab.txt, one token a line.

    settings: `do_lower_case`, `strip_accents`, `tokenize_chinese_chars` and the special tokens as
    tokenizer_config.json names them. Raises CheckpointError.
    """
    try:
        refuse_pointer(vocabulary, CheckpointError, vocabulary)
        # Not splitlines: a vocabulary may hold other characters that end lines, such as U+2028.
        lines = vocabulary.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"cannot be read ({error})", where=vocabulary, remedy="download the checkpoint again"
        ) from None
    if not lines[-1]:
        lines.pop()
    vocab = {token: index for index, token in enumerate(lines)}
    special = {kind: special_token(settings, kind, default) for kind, default in _SPECIAL.items()}
    lost = [special[kind] for kind in ("unk", "cls", "sep") if special[kind] not in vocab]
    if lost:
        raise CheckpointError(
            f"holds no {', '.join(lost)}", where=vocabulary, remedy="wanted a BERT vocabulary, one token a line"
        )
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=special["unk"], max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    mark_special(tokenizer, list(special.values()), mask="")
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.BertProcessing((sep, vocab[sep]), (cls, vocab[cls]))
    return tokenizer
