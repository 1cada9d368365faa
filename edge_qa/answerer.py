"""QuestionAnswerer: text in, answers with offsets out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import overload

from edge_qa.bundle import Bundle
from edge_qa.engine import Engine, Precision
from edge_qa.errors import BundleError, InputError
from edge_qa.manifest import Defaults, Manifest
from edge_qa.spans import Logits, Selection, select_spans
from edge_qa.text import TextTokenizer, Tokens
from edge_qa.windows import Window, make_windows


@dataclass(frozen=True)
class Answer:
    """A span of the context: `context[start:end] == text`, offsets in code points.

    score: probability, 0..1. The answer "there is none" has empty text and start == end == 0.
    """

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """One question ready for the model."""

    windows: list[Window]
    context: Tokens


class QuestionAnswerer:
    """Answers questions from a bundle. Safe to share between threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, precision: Precision = "f32") -> None:
        """Compile a loaded bundle; `load` does both steps.

        threads: how many cores one inference uses; None for all that this process may use.
        precision: "f32" gives the same scores on every CPU; "bf16" is faster where the CPU has it.
        """
        where = f"{bundle.path}/tokenizer.json"
        self.manifest: Manifest = bundle.manifest
        self.tokenizer = TextTokenizer(bundle.tokenizer_json, where)
        if self.tokenizer.vocabulary > self.manifest.model.vocabulary:
            raise BundleError(
                f"{where}: gives ids up to {self.tokenizer.vocabulary - 1}, the model has "
                f"{self.manifest.model.vocabulary} rows; convert with the tokenizer that belongs to the model"
            )
        self.engine = Engine(bundle, threads=threads, precision=precision)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, threads: int | None = None, precision: Precision = "f32"
    ) -> "QuestionAnswerer":
        """Load a bundle folder. Raises BundleError, or ResourceError if this CPU cannot run it right."""
        return cls(Bundle.load(path), threads=threads, precision=precision)

    def warm_up(self) -> None:
        """Run every input length once; the first question is then as fast as the rest."""
        self.engine.warm_up(self.max_seq_len)

    @property
    def defaults(self) -> Defaults:
        """The settings that an answer uses unless told otherwise."""
        return self.manifest.defaults

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
    ) -> Answer: ...

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
    ) -> list[Answer]: ...

    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int | None = None,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
    ) -> Answer | list[Answer]:
        """Return the best answer in the context, or with `top_k` a list of that many, best first.

        max_answer_len: the most tokens of an answer (the bundle's default: 30).
        no_answer_threshold: answer "none" where its logit exceeds the best span's by more than this
        (0 is the usual start; None, the default of bundles not trained for it, always answers).
        Raises InputError for a blank question or context and for text that is not valid Unicode.
        """
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k: got {top_k}, wanted at least 1")
        prepared = self.prepare(question, context)
        start, end = self.engine.logits(prepared.windows)
        selection = self.select(prepared, start, end, top_k=top_k or 1, max_answer_len=max_answer_len)
        answers = self.answers(selection, context, top_k=top_k or 1, no_answer_threshold=no_answer_threshold)
        return answers[0] if top_k is None else answers

    def answer_many(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        max_answer_len: int | None = None,
        no_answer_threshold: float | None = None,
    ) -> list[Answer]:
        """Return the best answer of each (question, context) pair, in the order given."""
        return [
            self.answer(question, context, max_answer_len=max_answer_len, no_answer_threshold=no_answer_threshold)
            for question, context in pairs
        ]

    # The three steps of an answer, apart, so that they can be measured and recombined.

    def prepare(self, question: str, context: str) -> Prepared:
        """Tokenize and cut into windows."""
        for what, text in (("question", question), ("context", context)):
            if not isinstance(text, str):
                raise InputError(f"{what}: got {type(text).__name__}, wanted text")
            if not text.strip():
                raise InputError(f"{what} is empty; give some text")
        tokens = self.tokenizer.encode(context, "context")
        if not len(tokens.ids):
            raise InputError("context is empty once tokenized (only control or zero-width characters); give some text")
        windows = make_windows(
            self.tokenizer.encode(question, "question"),
            tokens,
            self.tokenizer.template,
            max_seq_len=self.max_seq_len,
            doc_stride=self.defaults.doc_stride,
            max_question_len=self.defaults.max_question_len,
            token_types=self.manifest.model.token_types > 1,
        )
        return Prepared(windows, tokens)

    def select(
        self,
        prepared: Prepared,
        start: list[Logits],
        end: list[Logits],
        *,
        top_k: int,
        max_answer_len: int | None = None,
    ) -> Selection:
        """Choose the spans."""
        if max_answer_len is not None and max_answer_len < 1:
            raise InputError(f"max_answer_len: got {max_answer_len}, wanted at least 1")
        return select_spans(
            start,
            end,
            prepared.windows,
            prepared.context.offsets,
            top_k=top_k,
            max_answer_len=max_answer_len or self.defaults.max_answer_len,
        )

    def answers(
        self, selection: Selection, context: str, *, top_k: int, no_answer_threshold: float | None = None
    ) -> list[Answer]:
        """Turn spans into answers, with "none" first where SQuAD 2.0's rule says so."""
        threshold = self.defaults.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
        answers = [_cut(context, span.start, span.end, span.score) for span in selection.spans]
        if not answers or (threshold is not None and selection.null_margin > threshold):
            answers.insert(0, Answer("", selection.null_score, 0, 0))
        return answers[:top_k]

    @property
    def max_seq_len(self) -> int:
        """The most tokens of one window."""
        longest = self.manifest.io.tokens or self.manifest.model.longest_input
        return min(self.defaults.max_seq_len, longest)


def _cut(context: str, start: int, end: int, score: float) -> Answer:
    """Cut an answer out, without the white space that byte-level tokens carry at their front."""
    text = context[start:end]
    start += len(text) - len(text.lstrip())
    text = text.strip()
    return Answer(text, score, start, start + len(text))
