"""Where the zeros of a matrix lie: blocks are named when they are there, and only then."""

import numpy as np
import pytest

from converters.inspection.zero_patterns import ZeroPattern, find_pattern, tile_density


def matrix(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 0.1, (rows, columns)).astype(np.float32)


def blocked(rows: int, columns: int, block: tuple[int, int], zeros: float, seed: int = 0) -> np.ndarray:
    """A matrix in which the share `zeros` of all aligned blocks is zero, exactly."""
    grid = np.ones((rows // block[0], columns // block[1]), np.float32)
    flat = grid.reshape(-1)
    flat[np.random.default_rng(seed).permutation(flat.size)[: round(zeros * flat.size)]] = 0
    return matrix(rows, columns) * np.kron(grid, np.ones(block, np.float32))


def test_1x4_is_recognised_with_its_axis():
    found = find_pattern(blocked(256, 192, (4, 1), 0.8))
    assert found.verdict == "blocks"
    assert found.block == (4, 1)
    assert found.name == "1x4 blocks (4 outputs x 1 input)"
    assert found.sparsity == pytest.approx(0.8, abs=1e-4)
    assert found.zero_quads_out == pytest.approx(found.sparsity)
    assert found.zero_quads_in == pytest.approx(0.8**4, abs=0.02)


def test_the_other_axis_is_not_mistaken_for_it():
    found = find_pattern(blocked(192, 256, (1, 4), 0.8))
    assert found.block == (1, 4)
    assert found.name == "blocks of 1 output x 4 inputs"
    assert found.zero_quads_in == pytest.approx(0.8, abs=1e-4)
    assert found.zero_quads_out == pytest.approx(0.8**4, abs=0.02)


@pytest.mark.parametrize("zeros", [0.05, 0.3, 0.5, 0.85, 0.9, 0.97])
def test_1x4_is_recognised_at_every_sparsity(zeros):
    assert find_pattern(blocked(256, 192, (4, 1), zeros)).block == (4, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_every_type_of_weight_is_read(dtype):
    weight = blocked(128, 128, (4, 1), 0.8)
    found = find_pattern(np.where(weight != 0, 3, 0).astype(dtype) * np.array(-1, dtype))
    assert (found.block, found.zeros) == ((4, 1), 4 * 3277)  # of 32 x 128 groups


def test_a_negative_zero_of_float16_is_a_zero():
    assert find_pattern(np.array([[-0.0, 1.0]], np.float16)).zeros == 1


@pytest.mark.parametrize("block", [(2, 2), (16, 16), (32, 32), (8, 1), (32, 1)])
def test_blocks_of_other_sizes(block):
    found = find_pattern(blocked(512, 512, block, 0.7))
    assert (found.verdict, found.block) == ("blocks", block)


@pytest.mark.parametrize("zeros", [0.3, 0.75, 0.93])
def test_32x32_is_recognised_beside_whole_rows(zeros):
    found = find_pattern(blocked(768, 768, (32, 32), zeros))
    assert found.block == (32, 32)
    assert found.name == "blocks of 32 outputs x 32 inputs"
    assert found.zero_tiles == pytest.approx(found.sparsity)


def test_blocks_with_zeros_from_rounding_are_still_blocks():
    weight = blocked(256, 192, (4, 1), 0.8)
    weight[np.random.default_rng(1).random(weight.shape) < 0.05] = 0
    assert find_pattern(weight).block == (4, 1)


@pytest.mark.parametrize("shape", [(8, 8), (33, 31), (2, 768), (128, 64), (384, 384), (768, 200)])
@pytest.mark.parametrize("zeros", [0.0, 0.001, 0.02, 0.1, 0.5, 0.8, 0.9, 0.99, 0.999])
def test_zeros_that_lie_anywhere_are_never_blocks(shape, zeros):
    for seed in range(5):
        random = np.random.default_rng(seed)
        found = find_pattern(matrix(*shape) * (random.random(shape) >= zeros))
        assert found.verdict != "blocks"
        assert found.block == (1, 1)


@pytest.mark.parametrize("zeros", [0.1, 0.5, 0.9, 0.98])
def test_unstructured_is_recognised(zeros):
    found = find_pattern(matrix(256, 256) * (np.random.default_rng(3).random((256, 256)) >= zeros))
    assert found.verdict == "unstructured"
    assert found.sparsity == pytest.approx(zeros, abs=0.01)


@pytest.mark.parametrize("axis", [0, 1])
def test_lines_of_different_density_are_no_blocks(axis):
    random = np.random.default_rng(0)
    density = random.random(256) ** 3
    kept = random.random((256, 256)) < (density[:, None] if axis == 0 else density)
    assert find_pattern(matrix(256, 256) * kept).verdict == "unstructured"


def test_heads_of_different_density_are_no_blocks():
    random = np.random.default_rng(0)
    kept = random.random((768, 768)) < (random.random(12) ** 4).repeat(64)[:, None]
    assert find_pattern(matrix(768, 768) * kept).verdict in ("unstructured", "irregular")


def test_a_dense_matrix_is_dense():
    assert find_pattern(matrix(128, 128)).verdict == "dense"


@pytest.mark.parametrize(
    ("weight", "verdict"),
    [
        (blocked(8, 8, (4, 1), 0.5), "too few zeros to tell"),
        (matrix(512, 512) * (np.arange(512) != 7) ** (np.arange(512) == 9)[:, None], "too few zeros to tell"),
        (matrix(16, 16) * (np.arange(16) == np.arange(16)[:, None]), "too few nonzeros to tell"),
        (np.zeros((64, 64), np.float32), "all zero"),
    ],
    ids=["small", "one zero", "few weights", "nothing"],
)
def test_what_cannot_be_told_is_not_told(weight, verdict):
    assert find_pattern(weight).verdict == verdict


def test_whole_rows_and_columns_are_counted_and_are_no_blocks():
    weight = matrix(256, 128)
    weight[200:] = 0  # padded at the end
    weight[5] = 0
    weight[:, [1, 60]] = 0
    found = find_pattern(weight)
    assert (found.zero_rows, found.zero_columns, found.inner_zeros) == (57, 2, 0)
    assert found.zeros == 57 * 128 + 2 * 199
    assert found.verdict == "whole rows or columns"


def test_zero_rows_do_not_hide_what_the_others_are():
    weight = blocked(256, 192, (4, 1), 0.8)
    weight[:64] = 0
    assert find_pattern(weight).block == (4, 1)
    weight = blocked(256, 192, (4, 1), 0.8)
    weight[np.random.default_rng(0).random(256) < 0.4] = 0
    assert find_pattern(weight).block == (4, 1)
    weight = matrix(256, 192) * (np.random.default_rng(0).random((256, 192)) > 0.8)
    weight[64:200] = 0
    assert find_pattern(weight).verdict == "unstructured"


def test_groups_and_tiles_are_counted_as_they_stand():
    weight = matrix(67, 70)
    weight[0:4, 3] = 0  # one group of 4 outputs
    weight[9:13, 5] = 0  # not aligned: none
    weight[20, 8:16] = 0  # two groups of 4 inputs
    weight[32:64, 0:32] = 0  # a tile: 8 x 32 groups of 4 outputs and 32 x 8 of 4 inputs
    weight[64:67, 0:32] = 0  # below the last whole group of outputs, 3 x 8 groups of inputs
    found = find_pattern(weight)
    assert found.zero_quads_out == pytest.approx((1 + 8 * 32) / (16 * 70))
    assert found.zero_quads_in == pytest.approx((2 + 32 * 8 + 3 * 8) / (67 * 17))
    assert found.zero_tiles == pytest.approx(1 / (2 * 2))


def test_tile_density_counts_what_is_in_each_tile():
    weight = np.zeros((40, 66), np.float32)
    weight[0, 0] = weight[31, 31] = 1
    weight[:32, 32:64] = 1
    weight[32:, 64:] = 1
    wanted = np.array([[2 / 1024, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(tile_density(weight), wanted)
    assert tile_density(np.zeros((0, 66))).shape == (0, 3)


def test_a_pattern_tells_its_sparsity_for_an_empty_matrix():
    assert find_pattern(np.zeros((0, 8))) == ZeroPattern((0, 8), 0, 0.0, 0, 0, 0, (1, 1), 0.0, 0.0, 0.0, "dense")
