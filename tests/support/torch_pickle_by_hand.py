"""Pickles of checkpoints and the zip archives around them, byte by byte, as no library would write them."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

# Pickles, in the words of pickletools
OPCODES_READ = {
    *("PROTO", "FRAME", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND"),
    *("APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "MARK", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT"),
    *("MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}


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


ORDERED = name_global("collections.OrderedDict")
V2 = name_global("torch._utils._rebuild_tensor_v2")
V3 = name_global("torch._utils._rebuild_tensor_v3")
PARAMETER = name_global("torch._utils._rebuild_parameter")
SHAPE = group(number(1)) + group(number(1))

# Structures that hurt whoever follows them
DEEP = {
    "tuples": b"N" + b"\x85" * 100_000,
    "lists": b"]" * 100_000 + b"a" * 99_999,
    "dicts": b"}" + b"K\x01}" * 90_000 + b"s" * 90_000,
    "marks": b"(" * 100_000 + b"t" * 100_000,
    "cycle": b"]q\x00h\x00a",
    "bomb": b"(Nq\x00" + b"h\x00h\x00\x86q\x00" * 3000 + b"t",  # each a tuple of two of the one before: 2**3000 leaves
}


# Zip archives


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
