"""Question + context -> token windows that fit the model, overlapping so that no answer is cut in all of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_qa.errors import InputError
from edge_qa.text.tokenizer import PairTemplate, Tokens


@dataclass(frozen=True, eq=False)
class Window:
    """One input of the model: special tokens, the question, and a stretch of the context.

    input_ids, token_type_ids: (tokens,) int64. The context stands at [first, first + context_tokens)
    and begins with token `context_start` of the whole context.
    offsets: where its context tokens stand in the whole text, code points, (context_tokens, 2).
    blocks: the number of the block of the text that each of them stands in, rising, (context_tokens,); an answer
    stays in one. None where it may stand anywhere.
    question_truncated: the question had more tokens than it may have, and its end is not here.
    """

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    first: int
    context_start: int
    offsets: NDArray[np.int64]
    question_truncated: bool = False
    blocks: NDArray[np.int64] | None = None

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return len(self.input_ids)

    @property
    def context_tokens(self) -> int:
        """How many of its tokens are of the context."""
        return len(self.offsets)


def make_windows(
    question: Tokens,
    context: Iterable[Tokens],
    template: PairTemplate,
    *,
    max_seq_len: int,
    doc_stride: int,
    max_question_len: int,
    token_types: bool = True,
) -> Iterator[Window]:
    """Yield windows of at most `max_seq_len` tokens; neighbours share `doc_stride` tokens.

    context: the tokens of the text, in pieces if it is long; no more than a piece and a window are held.
    A question longer than `max_question_len` tokens is cut at its end, as the SQuAD baseline does.
    token_types: False for models without them; all type ids are then 0.
    Raises InputError if the three lengths leave no room for the context.
    """
    asked, truncated = question.ids[:max_question_len], len(question.ids) > max_question_len
    room = max_seq_len - len(asked) - template.special_tokens
    head = np.concatenate([_array(template.before), asked, _array(template.between)])
    head_types = np.concatenate(
        [_array(template.before_types), np.full(len(asked), template.question_type), _array(template.between_types)]
    )
    tail, tail_types = _array(template.after), _array(template.after_types)

    def window(start: int, tokens: Tokens) -> Window:
        whole = np.concatenate([head, tokens.ids, tail])
        if token_types:
            types = np.concatenate([head_types, np.full(len(tokens.ids), template.context_type), tail_types])
        else:
            types = np.zeros_like(whole)
        return Window(whole, types, len(head), start, tokens.offsets, truncated, tokens.blocks)

    start, held = 0, Tokens(np.empty(0, np.int64), np.empty((0, 2), np.int64))
    for piece in context:
        held = held.followed_by(piece)
        while len(held.ids) > room:
            if room <= doc_stride:
                raise InputError(
                    f"a question of {len(asked)} tokens leaves {max(0, room)} for the context",
                    where=f"max_seq_len {max_seq_len}",
                    wanted=f"more than doc_stride {doc_stride}",
                    remedy="shorten the question, lower doc_stride or raise max_seq_len",
                )
            yield window(start, held.part(0, room))
            step = room - doc_stride
            start, held = start + step, held.part(step, len(held.ids))
    yield window(start, held)


def _array(values: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(values, np.int64)
