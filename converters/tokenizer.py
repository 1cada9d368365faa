"""A checkpoint's tokenizer files -> the content of one tokenizer.json."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from edge_qa.errors import CheckpointError

_SPECIAL = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}


def read_tokenizer(folder: Path, config: dict[str, Any]) -> str:
    """Return the checkpoint's tokenizer as the content of a tokenizer.json. Raises CheckpointError."""
    fast = folder / "tokenizer.json"
    if fast.is_file():
        try:
            tokenizer = Tokenizer.from_str(fast.read_text(encoding="utf-8"))
        except Exception as error:
            raise CheckpointError(f"{fast}: cannot be read ({error}); download the checkpoint again") from None
    elif (folder / "vocab.txt").is_file():
        tokenizer = wordpiece(folder / "vocab.txt", _settings(folder))
    else:
        raise CheckpointError(f"{folder}: no tokenizer.json and no vocab.txt; add the model's tokenizer")
    # Training leftovers; the runtime cuts and pads by itself.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str()  # type: ignore[no-any-return]


def wordpiece(vocabulary: Path, settings: dict[str, Any]) -> Tokenizer:
    """Build BERT's WordPiece tokenizer from its vocab.txt, one token a line.

    settings: `do_lower_case`, `strip_accents`, `tokenize_chinese_chars` and the special tokens as
    tokenizer_config.json names them.
    """
    try:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{vocabulary}: cannot be read ({error}); download the checkpoint again") from None
    vocab = {token: index for index, token in enumerate(lines)}
    special = {kind: _token(settings.get(f"{kind}_token"), default) for kind, default in _SPECIAL.items()}
    lost = [special[kind] for kind in ("unk", "cls", "sep") if special[kind] not in vocab]
    if lost:
        raise CheckpointError(f"{vocabulary}: holds no {', '.join(lost)}; wanted a BERT vocabulary, one token a line")
    lower = bool(settings.get("do_lower_case", True))
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=special["unk"], max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=lower,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens([token for token in special.values() if token in vocab])
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.BertProcessing((sep, vocab[sep]), (cls, vocab[cls]))
    return tokenizer


def _token(value: Any, default: str) -> str:
    """A special token as a string, or as {"content": ...}."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else default


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error}); download the checkpoint again") from None
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: got a JSON {type(settings).__name__}, wanted an object")
    return settings
