"""Zip archives that torch does not write."""

import struct
import zlib

import pytest

from tests.support.torch_pickle_by_hand import (
    SIX,
    Member,
    entries,
    pickled,
    tensor,
    zipped,
)
from tests.support.torch_pickle_reading import rejected


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": 8}, "'m/data/0' is compressed"),
        ({"flags": 1}, "'m/data/0' is encrypted"),
        ({"flags": 0x2000}, "'m/data/0' is encrypted"),
        ({"name": "m/data.pkl"}, "two members named 'm/data.pkl'"),
        ({"name": "m/../data/0"}, "named 'm/../data/0', which torch does not write"),
        ({"name": "/m/data/0"}, "which torch does not write"),
        ({"name": "../" + "x" * 60_000}, "which torch does not write"),
        ({"name": "m/\0"}, "which torch does not write"),
        ({"name": "n/data.pkl"}, "has 2 members <name>/data.pkl"),
        ({"name": "m\\data"}, "which torch does not write"),
        ({"local_name": "m/data/1"}, "its local header disagree"),
        ({"claimed_bytes": 25}, "lies over other bytes"),
        ({"claimed_bytes": 2**31}, "lies over other bytes"),
        ({"claimed_bytes": 0xFFFFFFFF}, "lacks its sizes in 64 bits"),
        ({"claimed_bytes": 2**63, "zip64": True}, "lies over other bytes"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_an_archive_that_torch_does_not_write_is_refused(write_bytes, change, match, last):
    odd = Member(**{"name": "m/data/0", "data": SIX, **change})
    members = [Member("m/data.pkl", pickled(entries(w=tensor()))), odd]
    rejected(write_bytes(zipped(members if last else [*members, Member("m/version", b"3")])), match)


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (-2, struct.pack("<H", 1), "does not end as one"),  # a comment
        (-6, struct.pack("<L", 2**31), "its directory ends at byte"),
        (-10, struct.pack("<L", 2**31), "its directory ends at byte"),
        (-10, struct.pack("<L", 54 + 56 - 1), "its directory is malformed at byte 56"),
        (-10, struct.pack("<L", 56 + 45), "its directory ends early"),
        (-22 - 54, b"PK\x01\x03", "its directory is malformed at byte 56"),
        (-22 - 54 + 20, struct.pack("<L", 5), "'m/data/0' is compressed"),  # stored bytes
        (-22 - 54 + 42, struct.pack("<L", 2**31), "'m/data/0' begins at byte 2147483648, beyond the members"),
        (-22 - 54 + 46, b"\xff", "name is not UTF-8"),
    ],
)
def test_a_damaged_directory_is_refused(write_bytes, at, value, match):
    """The directory has an entry of 56 bytes for m/data.pkl and one of 54 for m/data/0; its end has 22."""
    data = bytearray(zipped([Member("m/data.pkl", pickled(entries(w=tensor()))), Member("m/data/0", SIX)]))
    data[len(data) + at : len(data) + at + len(value)] = value
    rejected(write_bytes(bytes(data)), match)


def test_a_missing_zip64_record_is_refused(write_bytes):
    data = zipped([Member("m/data.pkl", pickled(b"}"))], zip64=True)
    rejected(write_bytes(data.replace(b"PK\x06\x06", b"PK\x06\x08")), "has no zip64 record at byte")
    end = data.index(b"PK\x06\x07")
    rejected(write_bytes(data[: end + 8] + b"\xff" * 8 + data[end + 16 :]), "has no zip record at byte 18446744073")


def test_a_zip_bomb_is_refused_before_it_grows(write_bytes):
    bomb = zlib.compress(bytes(10_000_000))
    path = write_bytes(zipped([Member("m/data.pkl", bomb, method=8)]))
    rejected(path, "is compressed, wanted it stored as torch does")


def test_a_changed_weight_is_noticed_by_its_checksum(write_bytes):
    data = zipped([Member("m/data.pkl", pickled(entries(w=tensor()))), Member("m/data/0", SIX)])
    at = data.index(SIX)
    rejected(write_bytes(data[: at + 5] + b"\x07" + data[at + 6 :]), f"checksum of the 24 bytes at {at} differs")


def test_a_directory_that_is_larger_than_any_checkpoint_is_refused(write_bytes):
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 2**23 + 1, 4, 0)
    rejected(write_bytes(b"PK\x03\x04" + bytes(2**23 + 1) + tail), "directory has 8388609 bytes")
