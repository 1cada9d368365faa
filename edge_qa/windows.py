"""Question + context -> token windows that fit the model, overlapping so that no answer is cut in all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_qa.errors import InputError
from edge_qa.text import PairTemplate, Tokens


@dataclass(frozen=True, eq=False)
class Window:
    """One input of the model: special tokens, the question, and a stretch of the context.

    input_ids, token_type_ids: (tokens,) int64. The context stands at [first, first + context_tokens)
    and begins with token `context_start` of the whole context.
    """

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    first: int
    context_start: int
    context_tokens: int

    @property
    def tokens(self) -> int:
        return len(self.input_ids)


def make_windows(
    question: Tokens,
    context: Tokens,
    template: PairTemplate,
    *,
    max_seq_len: int,
    doc_stride: int,
    max_question_len: int,
    token_types: bool = True,
) -> list[Window]:
    """Cut a context into windows of at most `max_seq_len` tokens; neighbours share `doc_stride` tokens.

    A question longer than `max_question_len` tokens is cut at its end, as the SQuAD baseline does.
    token_types: False for models without them; all type ids are then 0.
    Raises InputError if the three lengths leave no room for the context.
    """
    asked = question.ids[:max_question_len]
    room = max_seq_len - len(asked) - template.special_tokens
    if room <= doc_stride and room < len(context.ids):
        raise InputError(
            f"max_seq_len {max_seq_len}: a question of {len(asked)} tokens leaves {room} for the context, "
            f"wanted more than doc_stride {doc_stride}; shorten the question, lower doc_stride or raise max_seq_len"
        )
    head = np.concatenate([_array(template.before), asked, _array(template.between)])
    head_types = np.concatenate(
        [_array(template.before_types), np.full(len(asked), template.question_type), _array(template.between_types)]
    )
    tail, tail_types = _array(template.after), _array(template.after_types)
    windows = []
    for start in range(0, max(1, len(context.ids) - doc_stride), max(1, room - doc_stride)):
        part = context.ids[start : start + room]
        ids = np.concatenate([head, part, tail])
        types = np.concatenate([head_types, np.full(len(part), template.context_type), tail_types])
        windows.append(Window(ids, types if token_types else np.zeros_like(ids), len(head), start, len(part)))
        if start + room >= len(context.ids):
            break
    return windows


def _array(values: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(values, np.int64)
