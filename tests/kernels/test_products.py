"""The integer product of every path, against plain integers."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.native.packed_file import panels, starts
from edge_qa.inference.native.library import OK


def product(library, path: str, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(codes) @ weights.T as the path computes it; codes int8 (rows, inputs), weights int8 (outputs, inputs)."""
    rows, inputs = codes.shape
    outputs = len(weights)
    packed = np.concatenate([panels(weights).ravel(), np.zeros(4096, np.int8)])
    begin = np.concatenate([starts(weights), np.zeros(-outputs % 16, np.int32)])
    stored = np.zeros((rows, inputs + -inputs % 64), np.uint8)
    stored[:, :inputs] = codes.astype(np.int16) + 128
    sums = np.full((rows, outputs + -outputs % 16), 7, np.int32)
    arrays = [ctypes.c_void_p(array.ctypes.data) for array in (packed, begin, stored, sums)]
    code = library.functions.edge_qa_test_product(path.encode(), outputs, inputs, *arrays[:3], rows, arrays[3])
    assert code == OK
    assert not sums[:, outputs:].any()
    return sums[:, :outputs]


@given(rows=st.integers(1, 64), outputs=st.integers(1, 150), inputs=st.integers(1, 700), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_path_gives_the_exact_integers(library, paths, rows, outputs, inputs, seed):
    random = np.random.default_rng(seed)
    codes = random.integers(-127, 128, (rows, inputs)).astype(np.int8)
    weights = random.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    wanted = codes.astype(np.int64) @ weights.astype(np.int64).T
    for path in paths:
        np.testing.assert_array_equal(product(library, path, codes, weights), wanted, err_msg=path)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_codes_do_not_saturate(library, path, sign):
    codes = np.full((9, 1536), 127, np.int8)
    weights = np.full((33, 1536), 127 * sign, np.int8)
    np.testing.assert_array_equal(product(library, path, codes, weights), 127 * 127 * 1536 * sign)
