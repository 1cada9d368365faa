"""Files that were cut, or of which bytes were changed."""

import pickletools
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.checkpoints.torch_pickle import interpreter
from edge_qa.errors import CheckpointError
from tests.support.torch_pickle_by_hand import (
    DEEP,
    OPCODES_READ,
    ORDERED,
    PARAMETER,
    SHAPE,
    SIX,
    V2,
    V3,
    Member,
    entries,
    group,
    name_global,
    number,
    pickled,
    storage,
    tensor,
    text,
    zipped,
)
from tests.support.torch_pickle_reading import GOLDEN, read_or_reject


@pytest.mark.parametrize("file", ["zip.bin", "legacy.bin"])
def test_a_file_cut_short_anywhere_is_refused(write_bytes, file):
    data = (GOLDEN / file).read_bytes()
    for part in range(50):
        assert not read_or_reject(write_bytes(data[: len(data) * part // 50]))
    assert not read_or_reject(write_bytes(data[:-1]))
    assert read_or_reject(write_bytes(data))


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("file", ["zip.bin", "legacy.bin"])
def test_flipped_bytes_give_arrays_or_one_line(write_bytes, file):
    chance = random.Random(f"flips {file}")
    data = (GOLDEN / file).read_bytes()
    read = sum(read_or_reject(write_bytes(flipped(data, chance))) for _ in range(500))
    assert 0 < read < 500


def test_flipped_bytes_of_a_pickle_with_a_right_checksum_give_arrays_or_one_line(write_bytes):
    chance = random.Random("pickle flips")
    value = pickled(entries(a=tensor(), b=tensor(1, (2, 2), (3, 1)), c=b"](K\x01K\x02\x86e", d=DEEP["cycle"]))
    for _ in range(600):
        members = [Member("m/data.pkl", flipped(value, chance)), Member("m/data/0", SIX)]
        read_or_reject(write_bytes(zipped(members)))


FRAGMENTS = [
    *(o.code.encode("latin-1") for o in pickletools.opcodes if o.name in OPCODES_READ and o.arg is None),
    *(b"K\x00", b"K\x01", b"K\x06", b"q\x00", b"q\x01", b"h\x00", b"h\x01", text("storage"), text("0"), text("w")),
    *(storage(), tensor(), entries(w=tensor()), V2, V3, PARAMETER, ORDERED, SHAPE, group(number(2), number(3))),
    *(name_global("torch.float16"), name_global("torch.HalfStorage"), number(-1), number(2**63), b"\x8a\x00"),
]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40))
def test_any_sequence_of_opcodes_gives_values_or_one_line(fragments):
    with suppress(CheckpointError):
        interpreter.interpret(b"".join(fragments) + b".", 0, "model.bin")
