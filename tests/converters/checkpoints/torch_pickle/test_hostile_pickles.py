"""Pickles that want more than tensors: nothing of them is executed."""

import pickletools
import struct
import tracemalloc

import pytest

from tests.support.torch_pickle_by_hand import (
    OPCODES_READ,
    ORDERED,
    PARAMETER,
    SHAPE,
    V2,
    V3,
    entries,
    group,
    name_global,
    number,
    pickled,
    storage,
    tensor,
    text,
)
from tests.support.torch_pickle_reading import rejected


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


@pytest.mark.parametrize("known", [o for o in pickletools.opcodes if o.name not in OPCODES_READ], ids=lambda o: o.name)
def test_every_other_opcode_is_refused_by_name(write, known):
    """INST, OBJ, NEWOBJ, EXT1, LONG4, BINUNICODE8 and the rest, each with something plausible around it."""
    operands = name_global("collections.OrderedDict") + b")"
    value = operands + known.code.encode("latin-1") + b"posix\nsystem\n" + b"\x01" + bytes(8)
    rejected(write(value), f"uses the pickle opcode {known.name} at byte")


def test_an_unknown_opcode_is_refused(write):
    rejected(write(b"\xff"), r"opcode b'\\xff'")


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
