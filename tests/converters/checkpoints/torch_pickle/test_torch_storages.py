"""Tensors and storages that are not where the pickle says."""

import tracemalloc

import numpy as np
import pytest

from converters.checkpoints.torch_pickle import archive as torch_archive
from converters.checkpoints.torch_pickle import reader as torch_pickle
from converters.checkpoints.torch_pickle.reader import read_state_dict
from edge_qa.errors import ResourceError
from tests.support.torch_pickle_by_hand import (
    SHAPE,
    SIX,
    V3,
    entries,
    group,
    name_global,
    number,
    storage,
    tensor,
)
from tests.support.torch_pickle_reading import rejected


@pytest.mark.parametrize(
    ("offset", "size", "stride", "match"),
    [
        (1, (2, 3), (3, 1), "element 6 of a storage of 6"),
        (6, (), (), "element 6 of a storage of 6"),
        (0, (7,), (1,), "element 6 of a storage of 6"),
        (0, (2, 3), (4, 1), "element 6 of a storage of 6"),
        (2**100, (1,), (1,), "of a storage of 6"),
        (0, (2**62, 2**62), (2**62, 1), "of a storage of 6"),
        (0, (2,), (2**64 - 1,), "of a storage of 6"),
        (-1, (1,), (1,), "integers >= 0"),
        (0, (-1,), (1,), "integers >= 0"),
        (5, (2,), (-1,), "integers >= 0"),
        (0, (2**40,), (0,), "takes 4398046511104 bytes, more than the file"),
        (0, (0, 2**62), (1, 1), "bytes, more than the file"),
        (0, (2**22 + 1,), (0,), "takes 16777220 bytes, more than the file"),
        (0, (1,) * 33, (1,) * 33, "33 dimensions, at most 32"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(write, offset, size, stride, match):
    rejected(write(entries(w=tensor(offset, size, stride))), match)


@pytest.mark.parametrize(
    ("offset", "size", "stride", "wanted"),
    [
        (5, (), (), 5),
        (5, (1,), (2**100,), [5]),  # the stride of an axis of size 1 is free
        (0, (3, 2), (1, 3), [[0, 3], [1, 4], [2, 5]]),
        (3, (2, 2), (0, 2), [[3, 5], [3, 5]]),
        (9, (2, 0), (1, 1), [[], []]),
        (0, (1,) * 32, (1,) * 32, np.zeros((1,) * 32).tolist()),
    ],
)
def test_every_tensor_inside_its_storage_is_read(write, offset, size, stride, wanted):
    assert read_state_dict(write(entries(w=tensor(offset, size, stride))))["w"].tolist() == wanted


def test_the_largest_expansion_is_a_view_without_memory(write):
    (array,) = read_state_dict(write(entries(w=tensor(5, (2**22,), (0,))))).values()
    assert array.nbytes == torch_pickle.MAX_EXPANDED_BYTES
    assert array[-1] == 5


@pytest.mark.parametrize(
    ("storages", "match"),
    [
        ({}, "storage '0' has 0 bytes, wanted 6 elements of float32"),
        ({"1": SIX}, "storage '0' has 0 bytes"),
        ({"0": SIX[:-1]}, "storage '0' has 23 bytes, wanted 6"),
        ({"0": SIX + SIX[:4]}, "storage '0' has 28 bytes, wanted 6"),
    ],
)
def test_a_storage_of_another_size_is_refused(write, storages, match):
    rejected(write(entries(w=tensor()), storages), match)


def test_a_huge_storage_takes_no_memory(write):
    tracemalloc.start()
    try:
        rejected(write(entries(w=tensor(source=storage(elements=2**60)))), "wanted 1152921504606846976 elements")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_one_storage_as_two_types_is_refused(write):
    untyped = storage("torch.storage.UntypedStorage")
    both = [
        V3 + group(untyped, number(0), SHAPE, b"NN", name_global(f"torch.{kind}")) + b"R" for kind in ("int8", "int16")
    ]
    rejected(write(entries(a=both[0], b=both[1]), {"0": SIX[:6]}), "'b' shares a storage with a tensor of another type")
    assert read_state_dict(write(entries(a=both[1]), {"0": b"\x02\x01" * 3}))["a"].tolist() == [0x0102]


def test_a_bool_is_0_or_1(write):
    value = entries(w=tensor(0, (2,), (1,), storage("torch.BoolStorage", elements=2)))
    assert read_state_dict(write(value, {"0": b"\x00\x01"}))["w"].tolist() == [False, True]
    rejected(write(value, {"0": b"\x00\x02"}), "byte other than 0 and 1")


def test_too_little_memory_is_said_in_one_line(write, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(torch_archive.np, "empty", no_memory)
    with pytest.raises(ResourceError, match="does not fit into memory"):
        read_state_dict(write(entries(w=tensor())))
