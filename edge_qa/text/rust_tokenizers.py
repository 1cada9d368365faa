"""How the tokenizers library fails: panics that are no Exception, and unknown words that it finds out about late."""

import contextlib
import re
from collections.abc import Iterator

from tokenizers import Tokenizer

_UNIGRAM_UNKNOWN = re.compile(r'"unk_id":\s*([0-9]+)')


class TokenizerPanicError(Exception):
    """The tokenizers library panicked."""


@contextlib.contextmanager
def panics_as_exceptions() -> Iterator[None]:
    """Raise TokenizerPanicError where the library panics, which it does with a BaseException of its own."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise TokenizerPanicError(str(error)) from None


def check_unknown_token(tokenizer: Tokenizer) -> None:
    """Raise ValueError if unknown words become a token that the vocabulary lacks.

    The library itself fails at the first such word only.
    """
    model = tokenizer.model
    # Unigram counts by id, and BPE over all 256 bytes knows no unknown words.
    unknown = getattr(model, "unk_token", None)
    if type(model).__name__ != "BPE" and unknown is not None and model.token_to_id(unknown) is None:
        raise ValueError(f"unknown words become {unknown!r}, which the vocabulary lacks")


def unknown_id(tokenizer: Tokenizer, content: str) -> int | None:
    """Return the id of the token that stands for what the vocabulary lacks, or None if there is none.

    content: the tokenizer.json, because a Unigram model does not tell.
    """
    model = tokenizer.model
    if type(model).__name__ == "Unigram":
        told = _UNIGRAM_UNKNOWN.search(content)
        return int(told[1]) if told else None
    token = getattr(model, "unk_token", None)
    found: int | None = None if token is None else model.token_to_id(token)
    return found
