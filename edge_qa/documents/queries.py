"""A question -> what the index is asked for: words without the ones that every question has, and pairs of characters.

FTS5's `unicode61` takes a run of Chinese, Japanese or Thai for one word, and finds nothing in it. Of such text the
index keeps pairs of neighbouring characters (bigrams), a usual unit of retrieval for these languages (Nie et al.
2000, "On the use of words and n-grams for Chinese information retrieval").
"""

import re
import unicodedata

from edge_qa.documents.passages import UNSPACED

_RUN = re.compile(f"[{UNSPACED}]+")
_WORD = re.compile(rf"[^\W{UNSPACED}_]+")
# A question asks by them, and they say nothing about the passage that answers it.
_STOP_WORDS_TEXT = """
a about above after again against all am an and any are aren as at be because been before being below between both
but by can could couldn d did didn do does doesn doing don down during each few for from further had hadn has hasn
have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m me might
more most my myself no nor not now o of off on once only or other our ours ourselves out over own re s same she
should shouldn so some such t than that the their theirs them themselves then there these they this those through
to too under until up ve very was wasn we were weren what when where which while who whom whose why will with won
would wouldn y you your yours yourself yourselves
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
# Terms of a query at most: a pasted page is not a question.
_MOST_TERMS = 64


def question_words(question: str) -> list[tuple[str, bool]]:
    """Return the words of a question that tell something, as they stand in it, and whether each looks like a name.

    A name has a capital or a digit in front. The first word has a capital in any case, so it is none.
    """
    words = _WORD.findall(question)
    named = [(word, bool(place and word[0].isupper()) or word[0].isdigit()) for place, word in enumerate(words)]
    return ([one for one in named if one[0].lower() not in _STOP_WORDS] or named)[:_MOST_TERMS]


def word_query(question: str) -> str | None:
    """Return the FTS5 query for the words of a question, None if it has none."""
    words = dict.fromkeys(word.lower() for word, _ in question_words(question))
    return " OR ".join(f'"{word}"' for word in words) or None


def gram_query(question: str) -> str | None:
    """Return the FTS5 query for the bigrams of a question, None if it has no text without spaces."""
    found = list(dict.fromkeys(grams(question).split()))
    return " OR ".join(f'"{gram}"' for gram in found[:_MOST_TERMS]) or None


def grams(text: str) -> str:
    """Return the pairs of characters of all text without spaces, with spaces between; a lone character as it is."""
    if text.isascii():
        return ""
    runs = _RUN.findall(unicodedata.normalize("NFKC", text))
    return " ".join(
        " ".join(run[place : place + 2] for place in range(len(run) - 1)) if len(run) > 1 else run for run in runs
    )
