"""Reading pytorch_model.bin: what real torch wrote comes out exactly, and nothing that a file says is executed."""

import logging
import pickletools
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.checkpoints import torch_archive, torch_opcodes, torch_pickle
from converters.checkpoints.torch_pickle import read_state_dict
from edge_qa.errors import CheckpointError, ResourceError

GOLDEN = Path(__file__).parents[1] / "golden" / "torch_pickle"  # written by tests/golden/make_torch_pickle.py
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


# Pickles by hand, in the words of pickletools


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def name_global(dotted: str) -> bytes:
    module, _, name = dotted.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(kind: str = "torch.FloatStorage", key: str = "0", elements: int = 6) -> bytes:
    return group(text("storage"), name_global(kind), text(key), text("cpu"), number(elements)) + b"Q"


def tensor(
    offset: int = 0,
    size: tuple[int, ...] = (2, 3),
    stride: tuple[int, ...] = (3, 1),
    source: bytes | None = None,
    hooks: bytes = b"}",
) -> bytes:
    shape = [group(*map(number, numbers)) for numbers in (size, stride)]
    arguments = group(source or storage(), number(offset), *shape, b"\x89", hooks)
    return name_global("torch._utils._rebuild_tensor_v2") + arguments + b"R"


def entries(**values: bytes) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in values.items()) + b"u"


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


# Zip archives by hand


@dataclass
class Member:
    name: str
    data: bytes
    method: int = 0
    flags: int = 0
    claimed_bytes: int | None = None
    local_name: str | None = None
    zip64: bool = False


def zipped(members: list[Member], *, zip64: bool = False) -> bytes:
    body, directory = b"", b""
    for member in members:
        name, local_name = member.name.encode(), (member.local_name or member.name).encode()
        nbytes = len(member.data) if member.claimed_bytes is None else member.claimed_bytes
        sizes, extra = (nbytes, nbytes, len(body)), b""
        if member.zip64:
            extra = struct.pack("<2H", 9, 2) + b"??" + struct.pack("<2H3Q", 1, 24, *sizes)
            sizes = (0xFFFFFFFF,) * 3
        fields = (member.flags, member.method, 0, 0, zlib.crc32(member.data), *sizes[:2])
        directory += struct.pack("<4s2H", b"PK\x01\x02", 0, 0) + struct.pack("<4H3L", *fields)
        directory += struct.pack("<5H2L", len(name), len(extra), 0, 0, 0, 0, sizes[2]) + name + extra
        body += struct.pack("<4sH", b"PK\x03\x04", 0) + struct.pack("<4H3L", *fields)
        body += struct.pack("<2H", len(local_name), 3) + local_name + b"pad" + member.data
    end = len(body), len(directory)
    tail = b""
    if zip64:
        tail = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 0, 0, 0, 0, 0, 0, end[1], end[0])
        tail += struct.pack("<4sLQL", b"PK\x06\x07", 0, sum(end), 1)
        end = (0xFFFFFFFF, 0xFFFFFFFF)
    return body + directory + tail + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, end[1], end[0], 0)


SIX = np.arange(6, dtype="<f4").tobytes()


@pytest.fixture
def write(tmp_path):
    """Write a zip checkpoint of one pickle and its storages; return its path."""

    def write(value: bytes, storages: dict[str, bytes] | None = None, extra: tuple[Member, ...] = ()) -> Path:
        data = {"0": SIX} if storages is None else storages
        path = tmp_path / "pytorch_model.bin"
        members = [Member("m/data.pkl", pickled(value)), *(Member(f"m/data/{k}", v) for k, v in data.items()), *extra]
        path.write_bytes(zipped(members))
        return path

    return write


@pytest.fixture
def write_bytes(tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(data)
        return path

    return write


def rejected(path: Path, match: str) -> str:
    with pytest.raises(CheckpointError, match=match) as caught:
        read_state_dict(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 700
    return message


def read_or_reject(path: Path) -> bool:
    """Read a damaged file and touch each array; True if it was read, False if it was refused in one line."""
    message = ""
    try:
        for array in read_state_dict(path).values():
            if array.nbytes < 2**20:
                array.tobytes()
    except CheckpointError as error:
        message = str(error)
    assert not message or message.startswith(f"{path}: ")
    assert "\n" not in message
    return not message


# What torch wrote


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
    with caplog.at_level(logging.DEBUG, "converters.checkpoints.torch_pickle"):
        read_state_dict(GOLDEN / "zip.bin")
    assert "dropped 2 entries that are no tensors: ['epoch', 'note']" in caplog.text


def test_arrays_outlive_the_file(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes((GOLDEN / "zip.bin").read_bytes())
    arrays = read_state_dict(path)
    path.write_bytes(b"")
    assert arrays["column"].tolist() == [2, 6, 10]


# The formats, by hand


def test_the_old_rebuild_function_and_short_opcodes_are_read(write):
    arguments = group(storage(), b"K\x01", b"K\x02K\x02\x86", b"M\x02\x00J\x01\x00\x00\x00\x86")
    value = b"}\x94\x8c\x01w" + name_global("torch._utils._rebuild_tensor") + arguments + b"Rs"
    assert read_state_dict(write(value))["w"].tolist() == [[1, 2], [3, 4]]


def test_protocol_4_names_globals_on_the_stack(write):
    value = b"\x95" + bytes(8) + text("collections") + text("OrderedDict") + b"\x93)R\x94" + text("w") + tensor() + b"s"
    assert read_state_dict(write(value))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("kind", "stored", "wanted"),
    [
        ("torch.FloatStorage", np.array([1.5, -2], ">f4").tobytes(), [1.5, -2]),
        ("torch.LongStorage", np.array([1, -2], ">i8").tobytes(), [1, -2]),
        ("torch.BFloat16Storage", b"\x3f\x80\xc0\x00", [1, -2]),
        ("torch.CharStorage", b"\x01\xfe", [1, -2]),
    ],
)
def test_big_endian_storages_are_swapped(write, kind, stored, wanted):
    value = entries(w=tensor(0, (2,), (1,), storage(kind, elements=2)))
    path = write(value, {"0": stored}, (Member("m/byteorder", b"big"),))
    assert read_state_dict(path)["w"].tolist() == wanted


def test_an_unknown_byte_order_is_refused(write):
    rejected(write(entries(w=tensor()), extra=(Member("m/byteorder", b"middle"),)), "byte order 'middle'")


@pytest.mark.parametrize("wide", [False, True])
def test_numbers_of_64_bits_in_the_archive_are_read(write_bytes, wide):
    members = [Member("m/data.pkl", pickled(entries(w=tensor())), zip64=wide), Member("m/data/0", SIX, zip64=True)]
    path = write_bytes(zipped(members, zip64=wide))
    assert read_state_dict(path)["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_storage_may_end_amid_an_element_as_torch_lets_it(write):
    """A float32 view of five bytes has one element, and torch stores all five bytes."""
    value = entries(w=tensor(0, (1,), (1,), storage(elements=1)))
    assert read_state_dict(write(value, {"0": SIX[4:9]}))["w"].tolist() == [1]


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_the_only_dict_of_tensors_is_unwrapped(write, wrapper):
    path = write(entries(**{wrapper: entries(w=tensor()), "args": entries(lr=b"K\x01")}))
    assert list(read_state_dict(path)) == ["w"]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (entries(model=entries(w=tensor()), ema=entries(w=tensor())), "under: 'model', 'ema'; wanted one"),
        (entries(generator=entries(w=tensor())), "under: 'generator'; wanted one"),
        (entries(model=entries(model=entries(w=tensor()))), "under: none"),
        (b"}", "under: none"),
        (tensor(), "holds a Tensor, wanted a dict"),
        (b"]" + tensor() + b"a", "holds a list, wanted a dict"),
        (b"}K\x05" + tensor() + b"s", "tensor under the key 5"),
        (b"}J\xfb\xff\xff\xff" + tensor() + b"s", "tensor under the key -5"),
    ],
)
def test_a_checkpoint_that_could_mean_several_things_is_refused(write, value, match):
    rejected(write(value), match)


def test_an_archive_of_another_kind_is_refused(write_bytes):
    rejected(write_bytes(zipped([Member("word/document.xml", b"<x/>")])), "has 0 members <name>/data.pkl, wanted one")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "begins with b''"),
        (b"{}", "wanted a zip archive or the legacy format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"PK\x03\x04", "no zip record"),
        (b"PK\x03\x04" + bytes(100), "does not end as one"),
    ],
)
def test_a_file_of_another_kind_is_refused(write_bytes, data, match):
    rejected(write_bytes(data), match)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    rejected(tmp_path / "none.bin", "is not a file")
    rejected(tmp_path, "is not a file")


# Pickles that want more than tensors


def test_a_command_in_a_pickle_is_not_run(tmp_path, write, write_bytes):
    marker = tmp_path / "marker"
    call = name_global("posix.system") + group(text(f"touch {marker}")) + b"R"
    message = rejected(write(entries(w=tensor(), x=call)), "wants the global")
    assert message.endswith(
        "pytorch_model.bin: wants the global 'posix.system', which is not one that a state dict needs; "
        "nothing was executed; re-save the checkpoint as safetensors"
    )
    head = pickled(b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little"))
    rejected(write_bytes(head + pickled(call)), "wants the global 'posix.system'")  # in the legacy format
    rejected(write_bytes(head + pickled(number(1001)) + pickled(call)), "wants the global 'posix.system'")
    assert not marker.exists()


@pytest.mark.parametrize(
    "dotted",
    [
        "builtins.eval",
        "builtins.getattr",
        "os.system",
        "subprocess.Popen",
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch._utils._rebuild_qtensor",
        "torch.QInt8Storage",
        "collections.OrderedDict.__init__",
        "collections.Counter",
        "numpy.core.multiarray._reconstruct",
        "os.\u00e9",
    ],
)
@pytest.mark.parametrize("on_stack", [False, True])
def test_every_other_global_is_refused_by_name(write, dotted, on_stack):
    module, _, name = dotted.rpartition(".")
    value = text(module) + text(name) + b"\x93" if on_stack else name_global(dotted)
    rejected(write(value), f"wants the global {dotted!r}")


OPCODES_READ = {
    *("PROTO", "FRAME", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND"),
    *("APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "MARK", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT"),
    *("MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}


@pytest.mark.parametrize("known", [o for o in pickletools.opcodes if o.name not in OPCODES_READ], ids=lambda o: o.name)
def test_every_other_opcode_is_refused_by_name(write, known):
    """INST, OBJ, NEWOBJ, EXT1, LONG4, BINUNICODE8 and the rest, each with something plausible around it."""
    operands = name_global("collections.OrderedDict") + b")"
    value = operands + known.code.encode("latin-1") + b"posix\nsystem\n" + b"\x01" + bytes(8)
    rejected(write(value), f"uses the pickle opcode {known.name} at byte")


def test_an_unknown_opcode_is_refused(write):
    rejected(write(b"\xff"), r"opcode b'\\xff'")


ORDERED = name_global("collections.OrderedDict")
V2 = name_global("torch._utils._rebuild_tensor_v2")
V3 = name_global("torch._utils._rebuild_tensor_v3")
PARAMETER = name_global("torch._utils._rebuild_parameter")
SHAPE = group(number(1)) + group(number(1))


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (ORDERED + group(group(text("a"), text("b"))) + b"R", "OrderedDict with unusable arguments"),
        (ORDERED + b"]R", "calls something that builds no tensor"),
        (text("posix.system") + b")R", "calls something that builds no tensor"),
        (name_global("torch.FloatStorage") + b")R", "calls something that builds no tensor"),
        (V2 + b")R", "missing 6 required positional arguments"),
        (V2 + group(*[b"N"] * 9) + b"R", "takes from 6 to 7 positional arguments but 9"),
        (V2 + group(text("x"), number(0), SHAPE, b"N", b"N") + b"R", "the first is no storage"),
        (V2 + group(storage(), number(0), b"K\x01K\x01NN") + b"R", "not two tuples of one length"),
        (V2 + group(storage(), number(0), group(number(1)), b")NN") + b"R", "not two tuples of one length"),
        (V2 + group(storage(), b"\x88", SHAPE, b"NN") + b"R", "must be integers"),
        (V2 + group(storage(), number(0), group(b"N") + group(number(1)), b"NN") + b"R", "must be integers"),
        (V2 + group(storage(), number(0), SHAPE, b"NN", entries(neg=b"\x88")) + b"R", "conjugated or negated"),
        (V3 + group(storage(), number(0), SHAPE, b"NN", name_global("torch.float16")) + b"R", "no untyped storage"),
        (V3 + group(storage("torch.ByteStorage"), number(0), SHAPE, b"NN", ORDERED) + b"R", "seventh is no type"),
        (V3 + group(storage("torch.ByteStorage"), number(0), SHAPE, b"NN", text("torch.int8")) + b"R", "is no type"),
        (PARAMETER + group(text("x"), b"N", b"N") + b"R", "the first is no tensor"),
        (tensor() + entries(shape=b"N") + b"b", "sets attributes on a Tensor"),
        (ORDERED + entries(name=text("posix.system")) + b"b", "sets attributes on a Global"),
        (text("module") + b"Q", "refers to something that is not a storage"),
        (group(text("module"), ORDERED, text("0"), text("cpu"), number(1)) + b"Q", "not a storage"),
        (group(text("storage"), text("torch.FloatStorage"), text("0"), text("cpu"), number(1)) + b"Q", "not a storage"),
        (group(text("storage"), ORDERED, text("0"), text("cpu"), number(1)) + b"Q", "of type collections.OrderedDict"),
        (storage("torch.float32"), "of type torch.float32"),
        (storage(elements=-1), "with -1 elements"),
        (storage()[:-2] + b"\x8a\x01\x01tQ", "a view of another one"),
        (storage() + storage(elements=5), "describes storage '0' in two ways"),
        (storage(key="a\nb") + storage("torch.IntStorage", key="a\nb"), r"describes storage 'a\\nb' in two ways"),
        (storage() + storage("torch.IntStorage"), "describes storage '0' in two ways"),
        (b"\x8a\x11" + bytes(17), "integer of 17 bytes"),
        (text("x" * 65_537), "string of 65537 bytes"),
        (b"c" + b"x" * 257 + b"\nx\n", "global without an end"),
        (b"}" + group(text("a"), text("b")) + text("v") + b"s", "a tuple as the key"),
        (b"}Nh\x00s", "value 0, which was not stored"),
        (b"}" + number(2**32) + b"Ns", "an int as the key|a int as the key"),
        (b"}\x88Ns", "a bool as the key"),
        (b"}N(" + b"u", "sets unpaired items, or items of a NoneType"),
        (b"}(Nu", "sets unpaired items"),
        (b"}Na", "appends to a dict"),
        (b"K\x01K\x02\x93", "other than two strings"),
        (b"X\x02\x00\x00\x00\xff\xff", "not UTF-8"),
        (b"t", "ends a group that was not begun"),
        (b"0", "opcode POP"),
        (b"N(\x85", "empty stack"),
        (b"NN", "leaves values behind"),
        (b"(N", "leaves values behind"),
    ],
)
def test_hostile_or_damaged_pickles_are_refused(write, value, match):
    rejected(write(value), match)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 60_000])
def test_a_string_longer_than_the_file_takes_no_memory(write, length):
    tracemalloc.start()
    try:
        rejected(write(b"X" + struct.pack("<I", length)), "string of 4294967295 bytes|ends early")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# Structures that hurt whoever follows them

DEEP = {
    "tuples": b"N" + b"\x85" * 100_000,
    "lists": b"]" * 100_000 + b"a" * 99_999,
    "dicts": b"}" + b"K\x01}" * 90_000 + b"s" * 90_000,
    "marks": b"(" * 100_000 + b"t" * 100_000,
    "cycle": b"]q\x00h\x00a",
    "bomb": b"(Nq\x00" + b"h\x00h\x00\x86q\x00" * 3000 + b"t",  # each a tuple of two of the one before: 2**3000 leaves
}


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
    fine = b"N\x85" + b"\x85" * (torch_opcodes.MAX_OPCODES - 4)
    rejected(write(fine), "holds a tuple")
    rejected(write(fine + b"\x85"), "more than 500000 opcodes")


def test_the_size_of_a_pickle_is_bounded(write):
    padding = b"X" + struct.pack("<I", 65_536) + b"x" * 65_536
    rejected(write(padding * 256), "pickle has more than 16777216 bytes")


# Tensors and storages that are not there


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


# Archives


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


# The legacy format


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


# Damage


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
        torch_opcodes.interpret(b"".join(fragments) + b".", 0, "model.bin")
