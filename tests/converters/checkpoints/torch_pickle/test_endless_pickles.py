"""Pickles of deep, cyclic and exponential structures, which hurt whoever follows them."""

import struct

import pytest

from converters.checkpoints.torch_pickle import interpreter
from converters.checkpoints.torch_pickle.reader import read_state_dict
from tests.support.torch_pickle_by_hand import (
    DEEP,
    ORDERED,
    SHAPE,
    V2,
    entries,
    group,
    number,
    storage,
    tensor,
    text,
)
from tests.support.torch_pickle_reading import rejected


@pytest.mark.parametrize("shape", DEEP)
def test_a_deep_structure_beside_the_tensors_is_dropped(write, shape):
    assert list(read_state_dict(write(entries(w=tensor(), x=DEEP[shape])))) == ["w"]


@pytest.mark.parametrize("shape", ["tuples", "cycle", "bomb"])
@pytest.mark.parametrize(
    ("place", "match"),
    [
        (lambda deep: entries(w=tensor(hooks=deep)), None),
        (lambda deep: entries(w=tensor()) + deep + b"b", None),
        (lambda deep: entries(x=deep), "holds no tensors at its top"),
        (lambda deep: deep, "wanted a dict|holds no tensors"),
        (lambda deep: b"}" + deep + b"Ns", "as the key of an entry"),
        (lambda deep: deep + b"Q", "not a storage"),
        (lambda deep: deep + b")R", "builds no tensor"),
        (lambda deep: ORDERED + deep + b"R", "unusable arguments|builds no tensor"),
        (lambda deep: V2 + group(storage(), deep, SHAPE, b"NN") + b"R", "must be integers"),
        (lambda deep: V2 + group(storage(), number(0), deep, b"K\x01NN") + b"R", "not two tuples"),
        (lambda deep: V2 + group(storage(), number(0), SHAPE, b"NN", deep) + b"R", "conjugated"),
        (lambda deep: group(text("storage"), ORDERED, text("0"), text("cpu"), number(1), deep) + b"Q", "a view"),
    ],
)
def test_deep_cyclic_and_exponential_structures_are_never_followed(write, shape, place, match):
    path = write(place(DEEP[shape]))
    if match is None:
        assert list(read_state_dict(path)) == ["w"]
    else:
        rejected(path, match)


def test_a_dict_that_holds_itself_is_refused(write):
    rejected(write(b"}q\x00" + text("state_dict") + b"h\x00s"), "under: none")


def test_one_dict_under_many_names_is_looked_at_once(write):
    """Otherwise this takes 4 * 10**9 steps."""
    inner = b"}q\x00(" + b"".join(b"J" + struct.pack("<i", n) + b"N" for n in range(60_000)) + b"u"
    outer = b"}" + text("a") + inner + b"s("
    outer += b"".join(b"J" + struct.pack("<i", n) + b"h\x00" for n in range(60_000)) + b"u"
    rejected(write(outer), "under: none")


def test_the_number_of_opcodes_is_bounded(write):
    fine = b"N\x85" + b"\x85" * (interpreter.MAX_OPCODES - 4)
    rejected(write(fine), "holds a tuple")
    rejected(write(fine + b"\x85"), "more than 500000 opcodes")


def test_the_size_of_a_pickle_is_bounded(write):
    padding = b"X" + struct.pack("<I", 65_536) + b"x" * 65_536
    rejected(write(padding * 256), "pickle has more than 16777216 bytes")
