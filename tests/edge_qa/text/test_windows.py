"""Windows over hand-made tokens."""

import numpy as np
import pytest

from edge_qa.errors import InputError
from edge_qa.text.tokenizer import PairTemplate, Tokens
from edge_qa.text.windows import make_windows

BERT = PairTemplate((101,), (102,), (102,), (0,), (0,), (1,), 0, 1)
ROBERTA = PairTemplate((0,), (2, 2), (2,), (0,), (0, 0), (0,), 0, 0)


def tokens(*ids: int) -> Tokens:
    return Tokens(np.array(ids, np.int64), np.stack([np.arange(len(ids)), np.arange(len(ids)) + 1], axis=1))


def windows(question, context, template=BERT, *, max_seq_len=12, doc_stride=3, max_question_len=4, **more):
    found = make_windows(
        question,
        [context],
        template,
        max_seq_len=max_seq_len,
        doc_stride=doc_stride,
        max_question_len=max_question_len,
        **more,
    )
    return list(found)


def test_a_short_context_is_one_window():
    (window,) = windows(tokens(7, 8), tokens(20, 21, 22))
    assert window.input_ids.tolist() == [101, 7, 8, 102, 20, 21, 22, 102]
    assert window.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert (window.first, window.context_start, window.context_tokens) == (4, 0, 3)


def test_roberta_has_two_separators_and_one_type():
    (window,) = windows(tokens(7), tokens(20), ROBERTA)
    assert window.input_ids.tolist() == [0, 7, 2, 2, 20, 2]
    assert window.token_type_ids.tolist() == [0] * 6


def test_neighbouring_windows_share_doc_stride_tokens():
    # 12 - 2 - 3 = 7 context tokens a window, a step of 7 - 3 = 4.
    found = windows(tokens(7, 8), tokens(*range(20, 36)))
    assert [w.context_start for w in found] == [0, 4, 8, 12]
    assert [w.context_tokens for w in found] == [7, 7, 7, 4]
    assert all(w.input_ids[w.first] == 20 + w.context_start for w in found)
    assert max(w.tokens for w in found) == 12


@pytest.mark.parametrize(("length", "count"), [(1, 1), (7, 1), (8, 2), (11, 2), (12, 3)])
def test_no_window_is_made_of_overlap_alone(length, count):
    found = windows(tokens(7, 8), tokens(*range(length)))
    assert len(found) == count
    assert found[-1].context_start + found[-1].context_tokens == length


def test_a_long_question_is_cut_at_its_end():
    (window,) = windows(tokens(1, 2, 3, 4, 5, 6), tokens(20))
    assert window.input_ids.tolist() == [101, 1, 2, 3, 4, 102, 20, 102]


def test_types_are_zero_for_a_model_without_them():
    (window,) = windows(tokens(7), tokens(20), token_types=False)
    assert window.token_type_ids.tolist() == [0] * 5


def test_lengths_that_leave_no_room_are_refused():
    with pytest.raises(InputError, match=r"leaves 3 for the context, wanted more than doc_stride 3"):
        windows(tokens(1, 2, 3, 4), tokens(*range(20)), max_seq_len=10)


def test_a_context_that_fits_needs_no_stride():
    assert len(windows(tokens(1, 2, 3, 4), tokens(20, 21, 22), max_seq_len=10)) == 1
