"""Reading pytorch_model.bin: what real torch wrote comes out exactly, and nothing that a file says is executed."""

import logging

import numpy as np
import pytest

from converters.checkpoints.torch_pickle.reader import read_state_dict
from tests.support.torch_pickle_reading import GOLDEN

INF = float("inf")

# What make_torch_pickle.py saved: name, type, value. The order is the file's.
EXPECTED = [
    ("grid", "float32", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
    ("view", "float32", [[5, 6, 7], [9, 10, 11]]),
    ("transposed", "float32", [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]),
    ("column", "float32", [2, 6, 10]),
    ("tied", "float32", [0, 0.25, 0.5, 0.75]),
    ("tied_again", "float32", [0, 0.25, 0.5, 0.75]),
    ("parameter", "float32", [[1.5, -2.5]]),
    ("expanded", "float32", [7, 7, 7]),
    ("scalar", "float32", 2.5),
    ("empty", "float32", []),
    ("float64", "float64", [0.1, -1e300]),
    ("float16", "float16", [1, -0.5, 65504]),
    ("bfloat16", "float32", [1, -2, 3.140625, INF]),
    ("bfloat16_view", "float32", [[0, 3], [1, 4], [2, 5]]),
    ("int64", "int64", [-(2**63), 2**63 - 1]),
    ("int32", "int32", [-(2**31), 2**31 - 1]),
    ("int16", "int16", [-(2**15), 2**15 - 1]),
    ("int8", "int8", [-128, 127]),
    ("uint8", "uint8", [0, 255]),
    ("uint16", "uint16", [0, 65535]),
    ("bool", "bool", [True, False, True]),
]


@pytest.mark.parametrize("file", ["zip.bin", "legacy.bin", "nested.bin"])
def test_a_file_of_torch_comes_out_exactly(file):
    arrays = read_state_dict(GOLDEN / file)
    assert list(arrays) == [name for name, _, _ in EXPECTED]
    for name, kind, value in EXPECTED:
        assert arrays[name].dtype == np.dtype(kind), name
        assert arrays[name].tolist() == value, name
        assert not arrays[name].flags.writeable, name
    assert arrays["empty"].shape == (0, 3)
    assert arrays["scalar"].shape == ()


@pytest.mark.parametrize("file", ["zip.bin", "legacy.bin"])
def test_tensors_of_one_storage_share_memory_and_keep_their_strides(file):
    arrays = read_state_dict(GOLDEN / file)
    assert np.shares_memory(arrays["tied"], arrays["tied_again"])
    assert np.shares_memory(arrays["grid"], arrays["view"])
    assert arrays["transposed"].strides == (4, 16)
    assert arrays["expanded"].strides == (0,)
    assert all(array.flags.aligned for array in arrays.values())


def test_entries_that_are_no_tensors_are_dropped_and_logged(caplog):
    with caplog.at_level(logging.DEBUG, "converters.checkpoints.torch_pickle.reader"):
        read_state_dict(GOLDEN / "zip.bin")
    assert "dropped 2 entries that are no tensors: ['epoch', 'note']" in caplog.text


def test_arrays_outlive_the_file(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes((GOLDEN / "zip.bin").read_bytes())
    arrays = read_state_dict(path)
    path.write_bytes(b"")
    assert arrays["column"].tolist() == [2, 6, 10]
