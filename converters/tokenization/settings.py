"""What stands beside a checkpoint's vocabulary: tokenizer_config.json and the files it has taken the place of."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

_KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def read_settings(folder: Path) -> dict[str, Any]:
    """Return tokenizer_config.json, with what older checkpoints keep in files of their own put into it.

    special_tokens_map.json overrides the special tokens, and added_tokens.json (token -> id) becomes
    `added_tokens_decoder` (id -> token), unless that is there. Raises CheckpointError.
    """
    settings = _read(folder / "tokenizer_config.json")
    if "added_tokens_decoder" in settings:
        return settings
    settings |= _read(folder / "special_tokens_map.json")
    special = {special_token(settings, kind) for kind in _KINDS}
    special |= {_content(entry) for entry in _more_special(settings)}
    settings["added_tokens_decoder"] = {
        index: {"content": token, "special": token in special, "normalized": token not in special}
        for token, index in _read(folder / "added_tokens.json").items()
    }
    return settings


def special_token(settings: dict[str, Any], kind: str, default: str = "") -> str:
    """The special token of a kind, such as "cls": a string, or {"content": ...}."""
    return _content(settings.get(f"{kind}_token")) or default


def mark_special(tokenizer: Tokenizer, tokens: list[str], *, mask: str) -> None:
    """Make special those of `tokens` that the vocabulary holds; `mask` takes the white space before it along."""
    known = [token for token in dict.fromkeys(tokens) if tokenizer.token_to_id(token) is not None]
    tokenizer.add_special_tokens([AddedToken(token, lstrip=token == mask, special=True) for token in known])


def add_tokens(tokenizer: Tokenizer, settings: dict[str, Any], where: Path) -> None:
    """Add the tokens that were added to the vocabulary after its training, and that `tokenizer` does not have yet.

    Raises CheckpointError if one does not get the id that the model knows it by.
    """
    there = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for index, entry in _by_id(settings, where):
        token = _added_token(entry, where)
        if token.content in there:
            continue
        tokenizer.add_tokens([token])
        got = tokenizer.token_to_id(token.content)
        if got != index:
            raise CheckpointError(
                f"added token {token.content!r} has id {index}, the vocabulary makes it {got}",
                where=where,
                remedy=("the vocabulary belongs to another model, or make a tokenizer.json with transformers"),
            )
        there.add(token.content)
    more = [_added_token(entry, where, special=True) for entry in _more_special(settings)]
    tokenizer.add_special_tokens([token for token in more if token.content not in there])


def _by_id(settings: dict[str, Any], where: Path) -> list[tuple[int, Any]]:
    entries = settings.get("added_tokens_decoder") or {}
    try:
        return sorted(((int(index), entry) for index, entry in entries.items()), key=lambda pair: pair[0])
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(
            "added tokens: wanted whole numbers as ids", where=where, remedy="download the checkpoint again"
        ) from None


def _added_token(entry: Any, where: Path, *, special: bool = False) -> AddedToken:
    content = _content(entry)
    if not content:
        raise CheckpointError(
            f"added token: got {entry!r}", where=where, wanted="its text", remedy="download the checkpoint again"
        )
    flags = {name: bool(entry[name]) for name in _FLAGS if name in entry} if isinstance(entry, dict) else {}
    return AddedToken(content, **(flags | {"special": True} if special else flags))


def _more_special(settings: dict[str, Any]) -> list[Any]:
    value = settings.get("additional_special_tokens")
    return value if isinstance(value, list) else []


def _content(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        refuse_pointer(path, CheckpointError, path)
        settings = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(settings, ensure_ascii=False).encode()  # half a character, such as "\\ud800", is no text
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"not JSON ({error})", where=path, remedy="download the checkpoint again") from None
    if not isinstance(settings, dict):
        raise CheckpointError(f"got a JSON {type(settings).__name__}", where=path, wanted="an object")
    return settings
