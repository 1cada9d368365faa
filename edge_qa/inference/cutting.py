"""Cuts a question and a text into the windows of one model, as long as that model takes them."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import get_args

from edge_qa.bundle.manifest import Manifest
from edge_qa.errors import InputError
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.spans import Selection
from edge_qa.text.blocks import Within
from edge_qa.text.chunks import PIECE, tokenize
from edge_qa.text.legibility import reading_problem
from edge_qa.text.surroundings import passage_around
from edge_qa.text.tokenizer import TextTokenizer, Tokens
from edge_qa.text.windows import Window, make_windows

_logger = logging.getLogger(__name__)

# Contexts whose tokens are kept, for the next question about the same one.
_KEPT_CONTEXTS = 8


class Cutter:
    """Cuts for one model. Safe to share between threads."""

    def __init__(self, tokenizer: TextTokenizer, manifest: Manifest) -> None:
        self.tokenizer = tokenizer
        self.manifest = manifest
        self._told = False
        self._looked_at: Tokens | None = None
        # Of the tokenizer, not of self: a cycle would keep a dropped answerer until the garbage is collected.
        self._short_context = lru_cache(_KEPT_CONTEXTS)(partial(_tokenize_whole, tokenizer))

    @property
    def longest_window(self) -> int:
        """The most tokens that the model takes at once."""
        return self.manifest.io.tokens or self.manifest.model.longest_input

    @property
    def max_seq_len(self) -> int:
        """The most tokens of one window, unless told otherwise."""
        return min(self.manifest.defaults.max_seq_len, self.longest_window)

    def windows(
        self,
        question: str,
        context: str,
        *,
        max_seq_len: int | None,
        doc_stride: int | None,
        max_question_len: int | None,
        align_to_words: bool,
        within: Within,
    ) -> Iterator[Window]:
        """Yield the windows, as they are asked for; see `QuestionAnswerer.windows`."""
        if within not in get_args(Within):
            raise InputError(f"got {within!r}", where="within", wanted=" or ".join(map(repr, get_args(Within))))
        for what, text in (("question", question), ("context", context)):
            if not isinstance(text, str):
                raise InputError(f"got {type(text).__name__}", where=what, wanted="text")
            if not text or text.isspace():
                raise InputError(f"{what} is empty", remedy="give some text")
        lengths = self._lengths(max_seq_len, doc_stride, max_question_len)
        asked = self.tokenizer.encode(question, "question")
        if not len(asked.ids):
            raise _nothing_to_read("question")
        return self._windows(asked, context, lengths, align_to_words, within)

    def closer_looks(
        self,
        selection: Selection,
        question: str,
        context: str,
        *,
        max_question_len: int | None,
        within: Within,
        align_to_words: bool,
    ) -> Iterator[CloserLook]:
        """Yield the passages around the spans of a selection; see `QuestionAnswerer.closer_looks`."""
        passages: dict[tuple[int, int], list[int]] = {}
        for place, span in enumerate(selection.spans):
            around = passage_around(context, span.start, span.end)
            if around is not None and len(context[slice(*around)].strip()) < len(context.strip()):
                passages.setdefault(around, []).append(place)
        lengths = self._lengths(max_question_len=max_question_len)
        if not passages:
            return
        asked = self.tokenizer.encode(question, "question")
        for (begin, end), places in passages.items():
            pieces = [_tokenize_whole(self.tokenizer, context[begin:end], align_to_words, within)]
            window, *more = self._make_windows(asked, pieces, lengths)
            if not more and window.context_tokens:
                yield CloserLook(replace(window, offsets=window.offsets + begin), tuple(places))

    def forget_contexts(self) -> None:
        """Let go of the tokens of the last contexts, which are kept in case they are asked about again."""
        self._short_context.cache_clear()

    def _lengths(
        self, max_seq_len: int | None = None, doc_stride: int | None = None, max_question_len: int | None = None
    ) -> dict[str, int]:
        defaults = self.manifest.defaults
        return {
            "max_seq_len": length_or_default("max_seq_len", max_seq_len, self.max_seq_len, most=self.longest_window),
            "doc_stride": length_or_default("doc_stride", doc_stride, defaults.doc_stride, least=0),
            "max_question_len": length_or_default("max_question_len", max_question_len, defaults.max_question_len),
        }

    def _windows(
        self, question: Tokens, context: str, lengths: dict[str, int], align_to_words: bool, within: Within
    ) -> Iterator[Window]:
        if len(context) <= PIECE:
            pieces: Iterable[Tokens] = [self._short_context(context, align_to_words, within)]
        else:
            pieces = tokenize(self.tokenizer, context, align=align_to_words, within=within)
        if not self._told:
            pieces = self._look_at_first(pieces, context)
        for window in self._make_windows(question, pieces, lengths):
            if not window.context_tokens:
                raise _nothing_to_read("context")
            yield window

    def _make_windows(self, question: Tokens, pieces: Iterable[Tokens], lengths: dict[str, int]) -> Iterator[Window]:
        types = self.manifest.model.token_types > 1
        return make_windows(question, pieces, self.tokenizer.template, **lengths, token_types=types)

    def _look_at_first(self, pieces: Iterable[Tokens], context: str) -> Iterator[Tokens]:
        """Pass pieces on; warn, once, if the first shows that the tokenizer does not know the language."""
        for number, tokens in enumerate(pieces):
            problem = None
            if number == 0 and tokens is not self._looked_at:
                self._looked_at = tokens  # the next question is often about the same context
                problem = reading_problem(self.tokenizer, tokens, context)
            if problem is not None:
                self._told = True
                languages = ", ".join(self.manifest.model.languages or ()) or "does not say"
                _logger.warning(
                    "context: %s; answers will be poor: was the model trained on its language (model card: %s)?",
                    problem,
                    languages,
                )
            yield tokens


def length_or_default(name: str, given: int | None, default: int, *, least: int = 1, most: int | None = None) -> int:
    """Return the length given, or the default for None. Raises InputError for one out of its bounds."""
    if given is None:
        return default
    if given < least:
        raise InputError(f"got {given}", where=name, wanted=f"at least {least}")
    if most is not None and given > most:
        raise InputError(f"got {given}, the model takes at most {most}", where=name)
    return given


def _nothing_to_read(what: str) -> InputError:
    problem = f"{what} is empty once tokenized (only control or zero-width characters)"
    return InputError(problem, remedy="give some text")


def _tokenize_whole(tokenizer: TextTokenizer, context: str, align_to_words: bool, within: Within) -> Tokens:
    (tokens,) = tokenize(tokenizer, context, align=align_to_words, within=within, piece=PIECE)
    return tokens
