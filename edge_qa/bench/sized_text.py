"""Seeded questions and contexts that make one window of exactly the length asked for."""

import numpy as np

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError

# Short words that are one token almost everywhere, and longer ones that are several somewhere.
_WORDS = (
    "the of and to in was for on with as by from at an which were this its first after where into over about "
    "river city bridge engine harbour library winter station island valley museum railway captain engineer "
    "water stone north south years century people company built opened carried described measured discovered "
    "observatory thermometer reconstruction lighthouse agricultural independently navigation hydroelectric "
    "1843 1912 27 360 London Vienna Lovelace Fahrenheit"
)
_FILLERS = (" the", " of", " a", ".", ",", " 1", "a", "1")
# A question has about this many tokens, less in short windows.
_QUESTION_TOKENS = 12


class SizedTexts:
    """Makes texts for one bundle; the same seed, index, length and tokenizer always give the same ones."""

    def __init__(self, answerer: QuestionAnswerer) -> None:
        self._answerer = answerer
        self._words = np.array(_WORDS.split())
        alone = self._count("the")
        self._cost = np.array([self._count(f"the {word}") - alone for word in self._words])

    def pair(self, tokens: int, *, seed: int = 0, index: int = 0) -> tuple[str, str]:
        """Return a question and a context that together are one window of `tokens` true tokens.

        index: which of the many pairs of a seed.
        Raises InputError if no window of the bundle can have that length.
        """
        special = self._answerer.tokenizer.template.special_tokens
        shortest, longest = special + 2, self._answerer.max_seq_len
        if not shortest <= tokens <= longest:
            raise InputError(
                f"windows of this bundle have {shortest} to {longest} tokens",
                where=f"length {tokens}",
                remedy="ask for those",
            )
        random = np.random.default_rng([seed, index, tokens])
        most = min(_QUESTION_TOKENS, self._answerer.defaults.max_question_len)
        asked = min(most, max(1, (tokens - special) // 4))
        question = self.text(asked, random)
        context = self.text(tokens - special - asked, random)
        found = [window.tokens for window in self._answerer.windows(question, context)]
        if found != [tokens]:
            raise InputError(
                f"the bundle makes windows of {found} tokens", where=f"length {tokens}", remedy="ask for another length"
            )
        return question, context

    def text(self, tokens: int, random: np.random.Generator) -> str:
        """Return words that are exactly `tokens` tokens. Raises InputError if the tokenizer allows none."""
        drawn = random.integers(0, len(self._words), tokens)
        fit = int(np.searchsorted(self._cost[drawn].cumsum(), tokens, side="right"))
        words = self._words[drawn[:fit]].tolist()
        while self._count(" ".join(words)) > tokens:  # a first word can cost more than one inside a text
            words.pop()
        text = " ".join(words)
        # The next word has more pieces than are left: something shorter fills the gap.
        while (here := self._count(text)) < tokens:
            longer = (text + filler for filler in _FILLERS)
            text = next((longer for longer in longer if here < self._count(longer) <= tokens), "")
            if not text:
                raise InputError(
                    f"the tokenizer makes no text of exactly {tokens} tokens", remedy="ask for another length"
                )
        return text

    def _count(self, text: str) -> int:
        return len(self._answerer.tokenizer.encode(text, "text").ids) if text else 0
