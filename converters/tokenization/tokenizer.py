"""A checkpoint's tokenizer files -> the content of one tokenizer.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from converters.tokenization import sentencepiece
from converters.tokenization.byte_level_bpe import byte_level_bpe
from converters.tokenization.settings import add_tokens, read_settings
from converters.tokenization.wordpiece import wordpiece
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

Builder = Callable[[Path, dict[str, Any]], Tokenizer]

_WORDPIECE: tuple[tuple[str, ...], Builder] = (("vocab.txt",), wordpiece)
_BYTE_LEVEL: tuple[tuple[str, ...], Builder] = (("vocab.json",), byte_level_bpe)
# Tokenizer class, as tokenizer_config.json names it -> the vocabulary files it may have, and what reads them.
_CLASSES: dict[str, tuple[tuple[str, ...], Builder]] = {
    "BertTokenizer": _WORDPIECE,
    "DistilBertTokenizer": _WORDPIECE,
    "ElectraTokenizer": _WORDPIECE,
    "MobileBertTokenizer": _WORDPIECE,
    "RobertaTokenizer": _BYTE_LEVEL,
    **{
        name: (("sentencepiece.bpe.model", "spiece.model"), builder) for name, builder in sentencepiece.BUILDERS.items()
    },
}
# model_type of config.json -> the class of a checkpoint that does not name one.
_CLASS_OF_MODEL = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "mobilebert": "MobileBertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
FAST = "tokenizer.json"
# Any of these makes a folder one that read_tokenizer can try.
VOCABULARY_FILES = (FAST, *dict.fromkeys(name for names, _ in _CLASSES.values() for name in names))


def read_tokenizer(folder: Path, config: dict[str, Any]) -> str:
    """Return the checkpoint's tokenizer as the content of a tokenizer.json. Raises CheckpointError.

    config: config.json, whose model_type decides where no file names the tokenizer's class.
    """
    settings = read_settings(folder)
    if (folder / FAST).is_file():
        tokenizer = _read_fast(folder / FAST, settings)
    else:
        tokenizer = _build(folder, config, settings)
    add_tokens(tokenizer, settings, folder)
    # Training leftovers; the runtime cuts and pads by itself.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str()  # type: ignore[no-any-return]


def _build(folder: Path, config: dict[str, Any], settings: dict[str, Any]) -> Tokenizer:
    default = _CLASS_OF_MODEL.get(str(config.get("model_type")), "BertTokenizer")
    name = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or default)
    remedy = "make one with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    if name.removesuffix("Fast") not in _CLASSES:
        raise CheckpointError(f"no {FAST}, and {name} cannot be made from its vocabulary", where=folder, remedy=remedy)
    files, builder = _CLASSES[name.removesuffix("Fast")]
    for file in files:
        if (folder / file).is_file():
            return builder(folder / file, settings)
    raise CheckpointError(
        f"no {FAST}, and no {' or '.join(files)} for {name}", where=folder, remedy="add the model's tokenizer"
    )


def _read_fast(path: Path, settings: dict[str, Any]) -> Tokenizer:
    try:
        refuse_pointer(path, CheckpointError, path)
        content = path.read_text(encoding="utf-8")
        state = json.loads(content)
        if _apply(state, settings):
            content = json.dumps(state, ensure_ascii=False)
        return Tokenizer.from_str(content)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"cannot be read ({error})", where=path, remedy="download the checkpoint again") from None


def _apply(state: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Let tokenizer_config.json overrule tokenizer.json, as transformers does; True if that changed anything."""
    overrides = {
        ("normalizer", "BertNormalizer"): {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        },
        ("pre_tokenizer", "ByteLevel"): {"add_prefix_space": "add_prefix_space"},
        ("post_processor", "RobertaProcessing"): {
            "add_prefix_space": "add_prefix_space",
            "trim_offsets": "trim_offsets",
        },
    }
    # The one class that takes its tokenizer.json for all there is to say.
    if settings.get("tokenizer_class") == "PreTrainedTokenizerFast":
        return False
    changed = False
    for (part, kind), names in overrides.items():
        component = state.get(part) or {}
        for key, setting in names.items():
            if component.get("type") == kind and setting in settings and component.get(key) != settings[setting]:
                component[key] = settings[setting]
                changed = True
    return changed
