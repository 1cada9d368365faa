"""A checkpoint's tokenizer files -> the content of one tokenizer.json."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from converters.tokenization import sentencepiece
from converters.tokenization.byte_level_bpe import byte_level_bpe
from converters.tokenization.settings import add_tokens, read_settings
from converters.tokenization.template import put_template_right
from converters.tokenization.wordpiece import wordpiece
from edge_qa.errors import CheckpointError, InputError
from edge_qa.git_lfs import refuse_pointer
from edge_qa.text.rust_tokenizers import TokenizerPanicError, check_unknown_token, panics_as_exceptions

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
# Classes of transformers that split text with a program or with code that the tokenizers library does not have.
_NEVER_FAST = {
    *("BartphoTokenizer", "BertJapaneseTokenizer", "BertweetTokenizer", "ByT5Tokenizer", "CanineTokenizer"),
    *("ErnieMTokenizer", "EsmTokenizer", "FlaubertTokenizer", "KoBertTokenizer", "LukeTokenizer", "MLukeTokenizer"),
    *("PerceiverTokenizer", "PhobertTokenizer", "ProphetNetTokenizer", "RoCBertTokenizer", "TapasTokenizer"),
    *("XLMTokenizer",),
}
# Of an uncased vocabulary not one word has capital letters, of BERT's cased one every third.
_CAPITAL_SHARE = 0.05
FAST = "tokenizer.json"
# Any of these makes a folder one that read_tokenizer can try.
VOCABULARY_FILES = (FAST, *dict.fromkeys(name for names, _ in _CLASSES.values() for name in names))


@dataclass(frozen=True)
class CheckpointTokenizer:
    """content: of a tokenizer.json. notes: what is worth saying about it, in sentences."""

    content: str
    notes: tuple[str, ...] = ()


def read_tokenizer(folder: Path, config: dict[str, Any], *, cased: bool | None = None) -> CheckpointTokenizer:
    """Return the checkpoint's tokenizer, with the pair template that its kind needs. Raises CheckpointError.

    config: config.json, whose model_type decides where no file names the tokenizer's class.
    cased: whether a WordPiece vocabulary tells upper from lower case; None for what the checkpoint says.
    Raises InputError for `cased` with a tokenizer of another kind.
    """
    with _no_panics(folder):
        settings = read_settings(folder)
        if cased is not None:
            settings["do_lower_case"] = not cased
        fast = (folder / FAST).is_file()
        tokenizer = _read_fast(folder / FAST, settings) if fast else _build(folder, config, settings)
        add_tokens(tokenizer, settings, folder)
        if cased is not None:
            _set_case(tokenizer, folder, cased=cased)
        notes = () if fast or "do_lower_case" in settings else _case_notes(tokenizer)
        return _finish(tokenizer, settings, str(config.get("model_type")), folder, notes)


def read_tokenizer_file(path: Path) -> CheckpointTokenizer:
    """Return a tokenizer.json that stands alone, for a model of which nothing else is known. Raises CheckpointError."""
    with _no_panics(path):
        return _finish(_read_fast(path, {}, "a vocab.txt is given as vocab"), {}, None, path)


def read_vocabulary(path: Path, *, lower_case: bool | None = None) -> CheckpointTokenizer:
    """Return BERT's tokenizer for a vocab.txt that stands alone. Raises CheckpointError.

    lower_case: None for True, with a note where the vocabulary looks otherwise.
    """
    settings = {} if lower_case is None else {"do_lower_case": lower_case}
    with _no_panics(path):
        tokenizer = wordpiece(path, settings)
        return _finish(tokenizer, settings, None, path, _case_notes(tokenizer) if lower_case is None else ())


@contextlib.contextmanager
def _no_panics(where: Path) -> Iterator[None]:
    try:
        with panics_as_exceptions():
            yield
    except TokenizerPanicError as panic:
        raise CheckpointError(
            f"its tokenizer cannot be used ({panic})", where=where, remedy="download the checkpoint again"
        ) from None


def _finish(
    tokenizer: Tokenizer, settings: dict[str, Any], model_type: str | None, where: Path, notes: tuple[str, ...] = ()
) -> CheckpointTokenizer:
    """Check what every tokenizer must have, and leave out what training put there."""
    # The runtime cuts and pads by itself.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        check_unknown_token(tokenizer)
        notes = (*notes, *put_template_right(tokenizer, settings, model_type, where))
    except (CheckpointError, TokenizerPanicError):
        raise
    except Exception as error:  # the library raises Exception itself
        raise CheckpointError(
            f"its tokenizer cannot be used ({error})", where=where, remedy="use the model's own tokenizer"
        ) from None
    return CheckpointTokenizer(tokenizer.to_str(), notes)


def _build(folder: Path, config: dict[str, Any], settings: dict[str, Any]) -> Tokenizer:
    default = _CLASS_OF_MODEL.get(str(config.get("model_type")), "BertTokenizer")
    named = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or default)
    name = named.removesuffix("Fast")
    splitters = [
        f"{key} {settings[key]!r}"
        for key, usual in (("word_tokenizer_type", "basic"), ("subword_tokenizer_type", "wordpiece"))
        if settings.get(key) not in (None, usual)
    ]
    slow = name in _NEVER_FAST or (folder / "bpe.codes").is_file()
    if slow or splitters:
        what = f"{named}{f' with {chr(32).join(splitters)}' if splitters else ''}"
        raise CheckpointError(
            f"{what} splits text with a program of its own; there is no {FAST} for it, and none can be made",
            where=folder,
            remedy="use a model of the language whose tokenizer has one, XLM-R for example",
        )
    if name not in _CLASSES:
        raise CheckpointError(
            f"no {FAST}, and {named} cannot be made from its vocabulary",
            where=folder,
            remedy="make one with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    files, builder = _CLASSES[name]
    for file in files:
        if (folder / file).is_file():
            return builder(folder / file, settings)
    raise CheckpointError(
        f"no {FAST}, and no {' or '.join(files)} for {named}", where=folder, remedy="add the model's tokenizer"
    )


def _set_case(tokenizer: Tokenizer, where: Path, *, cased: bool) -> None:
    if not isinstance(tokenizer.normalizer, BertNormalizer):
        raise InputError(
            "only a tokenizer of BERT's kind can be told whether it lower-cases",
            where=where,
            remedy="leave out `cased`",
        )
    tokenizer.normalizer.lowercase = not cased


def _case_notes(tokenizer: Tokenizer) -> tuple[str, ...]:
    """What to say of a vocabulary that nothing describes: read as lower-casing, though it has capital letters."""
    words = tokenizer.get_vocab(with_added_tokens=False)
    capital = [word for word in words if word != word.lower() and not word.startswith(("[", "<"))]
    if type(tokenizer.model).__name__ != "WordPiece" or len(capital) < _CAPITAL_SHARE * len(words):
        return ()
    return (
        f"{len(capital)} of {len(words)} words of the vocabulary have capital letters, such as "
        f"{min(capital, key=words.__getitem__)!r}, and nothing says that the model tells case apart; "
        "text is lower-cased, unless `cased` says otherwise",
    )


def _read_fast(path: Path, settings: dict[str, Any], remedy: str = "download the checkpoint again") -> Tokenizer:
    try:
        refuse_pointer(path, CheckpointError, path)
        content = path.read_text(encoding="utf-8")
        state = json.loads(content)
        if _apply(state, settings):
            content = json.dumps(state, ensure_ascii=False)
        return Tokenizer.from_str(content)
    except (CheckpointError, TokenizerPanicError):
        raise
    except Exception as error:
        raise CheckpointError(f"cannot be read as a tokenizer.json ({error})", where=path, remedy=remedy) from None


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
