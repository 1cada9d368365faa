"""The legacy format: five pickles and the storages after them."""

import struct

import pytest

from converters.checkpoints.torch_pickle.reader import read_state_dict
from tests.support.torch_pickle_by_hand import (
    DEEP,
    SIX,
    entries,
    pickled,
    tensor,
    text,
)
from tests.support.torch_pickle_reading import rejected


def legacy(value: bytes, keys: bytes, storages: bytes) -> bytes:
    head = pickled(b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")) + pickled(b"M\xe9\x03")
    return head + pickled(entries(little_endian=b"\x89")) + pickled(value) + pickled(keys) + storages


COUNTED = struct.pack("<q", 6) + SIX
KEYS = b"]" + text("0") + b"a"


def test_the_legacy_format_is_little_endian_whoever_saved_it(write_bytes):
    path = write_bytes(legacy(entries(w=tensor()), KEYS, COUNTED))
    assert read_state_dict(path)["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("keys", "storages", "match"),
    [
        (b"]", COUNTED, "storage '0' has 0 bytes, wanted 6"),
        (b"}", COUNTED, "no list of its storages"),
        (b"]" + text("1") + b"a", COUNTED, "lists a storage twice, or one that it does not use"),
        (b"](" + text("0") + text("0") + b"e", COUNTED * 2, "lists a storage twice"),
        (b"]" + DEEP["tuples"] + b"a", COUNTED, "lists a storage twice, or one that it does not use"),
        (KEYS, COUNTED[:-1], "storage '0' has 6 elements at byte"),
        (KEYS, COUNTED[:7], "ends before byte"),
        (KEYS, struct.pack("<q", 5) + SIX, "has 5 elements at byte [0-9]+, wanted 6"),
        (KEYS, struct.pack("<q", -1) + SIX, "has -1 elements"),
    ],
)
def test_legacy_storages_that_are_not_as_announced_are_refused(write_bytes, keys, storages, match):
    rejected(write_bytes(legacy(entries(w=tensor()), keys, storages)), match)


def test_another_legacy_protocol_is_refused(write_bytes):
    data = legacy(entries(w=tensor()), KEYS, COUNTED)
    rejected(write_bytes(data.replace(b"M\xe9\x03", b"M\xea\x03")), "wanted torch's magic number and protocol 1001")
