"""Which blocks of a matrix go: counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.sparsity.block_pruning import block_mask, block_scores, lowest

# Eight outputs, two inputs; in groups of four outputs |w| adds up to
#     input 0   input 1
#     10        6           outputs 0-3
#     4         8           outputs 4-7
WEIGHT = np.array([[1, -2], [-2, 1], [3, 0], [4, 3], [1, -5], [-1, 1], [1, 1], [-1, 1]], np.float32)


def pruned(weight: np.ndarray, *arguments: object) -> list[list[int]]:
    """Where a weight goes, as 0 and 1."""
    return (~block_mask(weight, *arguments)).astype(int).tolist()


def test_scores_are_the_sums_of_the_magnitudes():
    assert block_scores(WEIGHT, (4, 1)).tolist() == [[10, 6], [4, 8]]
    assert block_scores(WEIGHT, (2, 2)).tolist() == [[6], [10], [8], [4]]


def test_the_groups_of_least_magnitude_go():
    assert pruned(WEIGHT, (4, 1), 0.25) == [[0, 0]] * 4 + [[1, 0]] * 4
    assert pruned(WEIGHT, (4, 1), 0.5) == [[0, 1]] * 4 + [[1, 0]] * 4
    assert pruned(WEIGHT, (4, 1), 0.75) == [[0, 1]] * 4 + [[1, 1]] * 4


def test_the_norms_of_the_inputs_change_which():
    """With norms 1 and 0.5 the scores are 10, 3, 4, 4: input 1 counts half, and of equal scores the first goes."""
    norms = np.array([1, 0.5])
    assert block_scores(WEIGHT, (4, 1), norms).tolist() == [[10, 3], [4, 4]]
    assert pruned(WEIGHT, (4, 1), 0.25, norms) == [[0, 1]] * 4 + [[0, 0]] * 4
    assert pruned(WEIGHT, (4, 1), 0.5, norms) == [[0, 1]] * 4 + [[1, 0]] * 4


def test_of_equal_scores_the_first_go():
    assert pruned(np.ones((4, 4), np.float16), (1, 1), 0.4) == [[1, 1, 1, 1], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert lowest(np.array([2.0, 1, 3, 1, 1]), 2).tolist() == [False, True, False, True, False]


def test_zeros_that_are_there_go_first():
    weight = np.ones((8, 1), np.float32)
    weight[4:] = 0
    assert pruned(weight, (4, 1), 0.5) == [[0]] * 4 + [[1]] * 4


def test_blocks_are_aligned_and_ends_stay():
    """Of 10 outputs the last two are in no group of four, however small their weights are."""
    weight = np.arange(30, 0, -1, dtype=np.float32).reshape(10, 3)
    # 30 weights, of which 0.8 are 24: all six whole groups.
    assert pruned(weight, (4, 1), 0.8) == [[1, 1, 1]] * 8 + [[0, 0, 0]] * 2
    assert pruned(weight, (4, 1), 0.5) == [[0, 0, 1]] * 4 + [[1, 1, 1]] * 4 + [[0, 0, 0]] * 2


def test_a_square_of_32_goes_as_a_whole():
    weight = np.ones((64, 70), np.float32)
    weight[:32, 32:64] = 0.5
    weight[32:, :32] = 0.6
    weight[:, 64:] = 0.1
    mask = block_mask(weight, (32, 32), 0.25)  # 1.09 blocks
    assert not mask[:32, 32:64].any()
    assert np.count_nonzero(~mask) == 32 * 32


@given(
    rows=st.integers(4, 40),
    columns=st.integers(1, 20),
    ratio=st.floats(0.01, 0.99),
    block=st.sampled_from([(1, 1), (4, 1), (2, 2)]),
    seed=st.integers(0, 9),
)
def test_the_ratio_is_exact_to_one_block(rows, columns, ratio, block, seed):
    rows, columns = rows // block[0] * block[0], max(1, columns // block[1]) * block[1]
    weight = np.random.default_rng(seed).integers(-3, 4, (rows, columns)).astype(np.float32)  # full of equal scores
    gone = ~block_mask(weight, block, ratio)
    assert abs(np.count_nonzero(gone) - ratio * weight.size) <= block[0] * block[1] / 2 + 1e-6
    # All or nothing of every aligned block, and nothing that stays has a smaller score than what goes.
    shares = gone.reshape(rows // block[0], block[0], columns // block[1], block[1]).mean(axis=(1, 3))
    assert set(np.unique(shares)) <= {0, 1}
    scores = block_scores(weight, block)
    if 0 < shares.sum() < shares.size:
        assert scores[shares == 1].max() <= scores[shares == 0].min()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_magnitudes_are_added_without_rounding(kind):
    """In float16 2048 + 1 is 2048: the two blocks would look alike, and the first would go."""
    weight = np.array([[2048], [1], [0], [1], [2048], [0], [0], [0]], kind)
    assert pruned(weight, (4, 1), 0.5) == [[0]] * 4 + [[1]] * 4
