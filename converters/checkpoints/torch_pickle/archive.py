"""Find the members of the zip archive that torch.save writes: stored, not compressed, none over another.

The directory is read here rather than by Python's zipfile, because the weights are read in place: that needs the offset
of each member's bytes, which zipfile keeps to itself, and the certainty that the members together are no larger than
the file. Names are keys to look up and never become paths.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end) and
4.5.3 (sizes of 64 bits).
"""

import struct
import zlib
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_qa.errors import CheckpointError

DAMAGED = "the file is damaged or incomplete; download it again"
MAX_DIRECTORY_BYTES = 2**23  # about a hundred thousand members

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_WIDE = 0xFFFFFFFF  # stands for a number that is given in 64 bits elsewhere
_ENCRYPTED = 0x1 | 0x2000


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the file. crc32: their checksum, or None where the format has none."""

    offset: int
    nbytes: int
    crc32: int | None = None


def read_span(file: BufferedReader, span: Span, where: str) -> NDArray[np.uint8]:
    """Return the bytes of the span. Raises CheckpointError if they end early or differ from their checksum."""
    data = np.empty(span.nbytes, np.uint8)
    file.seek(span.offset)
    if file.readinto(data.data) != span.nbytes:
        raise CheckpointError(f"ends before byte {span.offset + span.nbytes}", where=where, remedy=DAMAGED)
    if span.crc32 is not None and zlib.crc32(data.data) != span.crc32:
        raise CheckpointError(
            f"the checksum of the {span.nbytes} bytes at {span.offset} differs", where=where, remedy=DAMAGED
        )
    return data


def find_members(file: BufferedReader, file_bytes: int, where: str) -> dict[str, Span]:
    """Return where each member of the archive lies, by name.

    where: names the file in errors. Raises CheckpointError if the archive is damaged, encrypted or compressed,
    or if two members share a name or bytes.
    """
    start, nbytes = _find_directory(file, file_bytes, where)
    if nbytes > MAX_DIRECTORY_BYTES:
        raise CheckpointError(
            f"its directory has {nbytes} bytes, at most {MAX_DIRECTORY_BYTES} are read", where=where, remedy=DAMAGED
        )
    directory = read_span(file, Span(start, nbytes), where).tobytes()
    members: dict[str, Span] = {}
    taken: list[tuple[int, int, str]] = []  # from the header of a member to the end of its bytes
    position = 0
    while position < nbytes:
        name, header, span, length = _read_entry(directory, position, where)
        position += length
        if name in members:
            raise CheckpointError(f"has two members named {name!r:.80}", where=where, remedy=DAMAGED)
        offset = header + _local_bytes(file, header, start, name, where)
        members[name] = Span(offset, span.nbytes, span.crc32)
        taken.append((header, offset + span.nbytes, name))
    end = 0
    for header, behind, name in sorted(taken):
        if header < end or behind > start:
            raise CheckpointError(
                f"member {name!r:.80} lies over other bytes of the archive", where=where, remedy=DAMAGED
            )
        end = behind
    return members


def _find_directory(file: BufferedReader, file_bytes: int, where: str) -> tuple[int, int]:
    """Return the offset and the size in bytes of the directory, which lies inside the file."""
    end = file_bytes - _END.size
    signature, *_, nbytes, start, comment = _read(file, _END, end, where)
    if signature != b"PK\x05\x06" or comment:
        raise CheckpointError("begins as a zip archive and does not end as one", where=where, remedy=DAMAGED)
    if end >= _LOCATOR64.size:
        signature, _, end64, _ = _read(file, _LOCATOR64, end - _LOCATOR64.size, where)
        if signature == b"PK\x06\x07":
            signature, *_, nbytes, start = _read(file, _END64, end64, where)
            if signature != b"PK\x06\x06":
                raise CheckpointError(f"has no zip64 record at byte {end64}", where=where, remedy=DAMAGED)
            end = end64
    if start + nbytes > end:
        raise CheckpointError(
            f"its directory ends at byte {start + nbytes}", where=where, wanted=f"<= {end}", remedy=DAMAGED
        )
    return start, nbytes


def _read_entry(directory: bytes, position: int, where: str) -> tuple[str, int, Span, int]:
    """Return one entry's name, the offset of its local header, its size and checksum, and the length of the entry."""
    if position + _ENTRY.size > len(directory):
        raise CheckpointError("its directory ends early", where=where, remedy=DAMAGED)
    entry = _ENTRY.unpack_from(directory, position)
    signature, flags, method, crc32 = entry[0], entry[3], entry[4], entry[7]
    name_bytes, extra_bytes, comment_bytes = entry[10:13]
    name_at = position + _ENTRY.size
    extra_at = name_at + name_bytes
    length = extra_at + extra_bytes + comment_bytes - position
    if signature != b"PK\x01\x02" or position + length > len(directory):
        raise CheckpointError(f"its directory is malformed at byte {position}", where=where, remedy=DAMAGED)
    try:
        name = directory[name_at:extra_at].decode()
    except UnicodeDecodeError:
        raise CheckpointError("a member's name is not UTF-8", where=where, remedy=DAMAGED) from None
    if ".." in name.split("/") or name.startswith("/") or "\\" in name or "\0" in name:
        raise CheckpointError(
            f"has a member named {name!r:.80}, which torch does not write", where=where, remedy=DAMAGED
        )
    if flags & _ENCRYPTED:
        raise CheckpointError(
            f"member {name!r:.80} is encrypted", where=where, remedy="re-save the checkpoint with torch.save"
        )
    wide = _widen([entry[9], entry[8], entry[16]], directory[extra_at : extra_at + extra_bytes])
    if wide is None:
        raise CheckpointError(f"member {name!r:.80} lacks its sizes in 64 bits", where=where, remedy=DAMAGED)
    nbytes, stored_bytes, header = wide
    if method != 0 or stored_bytes != nbytes:
        raise CheckpointError(
            f"member {name!r:.80} is compressed",
            where=where,
            wanted="it stored as torch does",
            remedy="re-save the checkpoint with torch.save",
        )
    return name, header, Span(0, nbytes, crc32), length


def _widen(numbers: list[int], extra: bytes) -> list[int] | None:
    """Replace each number that is given in 64 bits in the extra field; None if one is missing there."""
    position = 0
    field = b""
    while position + 4 <= len(extra):
        tag, nbytes = struct.unpack_from("<2H", extra, position)
        if tag == 1:
            field = extra[position + 4 : position + 4 + nbytes]
        position += 4 + nbytes
    wide = []
    for number in numbers:
        if number == _WIDE:
            if len(field) < 8:
                return None
            number, field = int.from_bytes(field[:8], "little"), field[8:]
        wide.append(number)
    return wide


def _local_bytes(file: BufferedReader, header: int, limit: int, name: str, where: str) -> int:
    """Return the size of the local header in front of a member's bytes."""
    if header + _LOCAL.size > limit:
        raise CheckpointError(
            f"member {name!r:.80} begins at byte {header}, beyond the members", where=where, remedy=DAMAGED
        )
    local = _read(file, _LOCAL, header, where)
    signature, flags, method = local[0], local[2], local[3]
    name_bytes, extra_bytes = local[9:11]
    local_name = file.read(name_bytes)
    # A header that disagrees with the directory makes two readers see two different archives.
    if signature != b"PK\x03\x04" or method != 0 or flags & _ENCRYPTED or local_name != name.encode():
        raise CheckpointError(f"member {name!r:.80} and its local header disagree", where=where, remedy=DAMAGED)
    return _LOCAL.size + int(name_bytes) + int(extra_bytes)


def _read(file: BufferedReader, layout: struct.Struct, offset: int, where: str) -> tuple[Any, ...]:
    try:
        file.seek(offset)
        return layout.unpack(file.read(layout.size))
    except (OSError, OverflowError, ValueError, struct.error):
        raise CheckpointError(f"has no zip record at byte {offset}", where=where, remedy=DAMAGED) from None
