"""Answers -> the tokens that exact match and F1 compare, for the languages in which white space alone will not do.

squad        lower case, ASCII punctuation and a, an, the go, white space parts: the official SQuAD metric
mlqa-..      Unicode's punctuation and the language's articles go instead; in Chinese every Han character is a token:
             the official metric of MLQA (Lewis et al. 2020, arXiv 1910.07475, mlqa_evaluation_v1.py), to the last bit
characters-..  Japanese and Thai, which MLQA does not have: as MLQA treats Chinese, with the characters of their script.
             Where Thai words end needs a dictionary, and scores would hang on its version; a character keeps the
             marks above and below it.
"""

import re
import string
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Literal

from edge_qa.errors import InputError

Segmentation = Literal[
    "squad", "mlqa-ar", "mlqa-de", "mlqa-es", "mlqa-hi", "mlqa-vi", "mlqa-zh", "characters-ja", "characters-th"
]

LANGUAGES: dict[str, Segmentation] = {
    "en": "squad",
    "ar": "mlqa-ar",
    "de": "mlqa-de",
    "es": "mlqa-es",
    "hi": "mlqa-hi",
    "vi": "mlqa-vi",
    "zh": "mlqa-zh",
    "ja": "characters-ja",
    "th": "characters-th",
}

# English, in the official SQuAD metric: ASCII only, and curly quotes stay.
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DELETE_ASCII = str.maketrans("", "", string.punctuation)

_MLQA_ARTICLES = {
    "mlqa-ar": re.compile("ال"),
    "mlqa-de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "mlqa-es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "mlqa-vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
}
# What is a token of its own: a character, in Thai with the marks on it.
_CHARACTERS = {
    "mlqa-zh": re.compile("([\u4e00-\u9fa5])"),
    "characters-ja": re.compile(
        "([\u3005-\u3007\u3041-\u3096\u309d-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f])"
    ),
    "characters-th": re.compile("([\u0e01-\u0e5b][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*)"),
}

# Contexts that are looked at to tell the language.
_LOOKED_AT = 200
_HAN = re.compile("[\u4e00-\u9fff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_THAI = re.compile("[\u0e01-\u0e4e]")
# Of Han and kana. Half of a Japanese text is kana, of a Chinese one a quoted name here and there.
_KANA_IN_JAPANESE = 0.2


def segmentation_for(language: str) -> Segmentation:
    """Return how answers of a language are compared. Raises InputError for a language without a rule."""
    if language not in LANGUAGES:
        raise InputError(
            f"got {language!r}",
            where="language",
            wanted=f"one of {', '.join(LANGUAGES)}",
            remedy="leave it out for a language whose words are parted by white space",
        )
    return LANGUAGES[language]


def segmentation_of(contexts: Sequence[str]) -> Segmentation:
    """Return how answers from such texts are compared: as SQuAD does, unless most letters know no white space."""
    step = max(1, len(contexts) // _LOOKED_AT)
    text = "".join(contexts[::step])
    letters = sum(map(str.isalpha, text))
    han, kana, thai = (len(pattern.findall(text)) for pattern in (_HAN, _KANA, _THAI))
    if 2 * (han + kana) > letters:
        return "characters-ja" if kana > _KANA_IN_JAPANESE * (han + kana) else "mlqa-zh"
    # The marks of Thai are no letters.
    return "characters-th" if 2 * thai > max(letters, 1) else "squad"


def normalize_answer(text: str, segmentation: Segmentation = "squad") -> str:
    """Return the tokens of an answer, parted by single spaces, in lower case, without punctuation and articles."""
    lower = text.lower()
    if segmentation == "squad":
        return " ".join(_ARTICLES.sub(" ", lower.translate(_DELETE_ASCII)).split())
    bare = lower.translate(_delete_punctuation())
    if segmentation in _MLQA_ARTICLES:
        bare = _MLQA_ARTICLES[segmentation].sub(" ", bare)
    if segmentation in _CHARACTERS:
        bare = _CHARACTERS[segmentation].sub(r" \1 ", bare)
    return " ".join(bare.split())


@cache
def _delete_punctuation() -> dict[int, None]:
    """Unicode's punctuation and that of ASCII, some of which Unicode calls symbols; made when it is first needed."""
    unicode = (code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*unicode, *map(ord, string.punctuation)])
