"""Read the tensors of `pytorch_model.bin` with numpy alone, executing nothing.

Two formats are read: the zip archive of torch >= 1.6, and the legacy one before it. In both, a pickle describes tensors
as views of numbered storages, and the storages lie beside it as plain bytes:

    zip       <root>/data.pkl, <root>/byteorder, <root>/data/<key> for each storage
    legacy    four pickles (magic number, 1001, sizes of the saving machine, the object), a fifth with the list of
              storage keys, then for each key an int64 count of elements and the elements

Source: torch/serialization.py (_save and _legacy_save) and torch/csrc/serialization.cpp of torch 2.13.
"""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checkpoints.torch_pickle.archive import DAMAGED, Span, find_members, read_span
from converters.checkpoints.torch_pickle.globals import ITEM_BYTES, Storage, Tensor
from converters.checkpoints.torch_pickle.interpreter import RESAVE, Unpickled, interpret
from edge_qa.errors import CheckpointError, ResourceError
from edge_qa.git_lfs import refuse_pointer

__all__ = ["read_state_dict"]

MAX_PICKLE_BYTES = 2**24  # the pickle of BERT-base has 20 KB
# An expanded tensor (stride 0) may be larger than the file that holds it, up to this; or a caller's copy could be
# larger than any memory.
MAX_EXPANDED_BYTES = 2**24

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model", "model_state_dict")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Contents:
    """What a file holds: its unpickled object, where each storage lies, and in which byte order."""

    pickle: Unpickled
    spans: Mapping[str, Span]
    byte_order: str


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return every tensor of the checkpoint by its name, in the order of the file.

    The arrays are read-only. Tensors that share a storage in the file share memory here, and keep their strides.
    bfloat16 becomes float32, which holds it exactly; every other type stays what it is.
    A checkpoint that holds no tensor itself, and a dict of tensors under exactly one key, which is "state_dict",
    "model" or "model_state_dict", is unwrapped. Entries that are not tensors are dropped.
    Memory: the storages that the tensors need, each once (bfloat16 twice over), and the pickle.

    Raises CheckpointError if the file is missing, damaged, of another format, or wants anything but tensors;
    ResourceError if it does not fit into memory.
    """
    where = str(path)
    try:
        if not path.is_file():
            raise CheckpointError("is not a file", where=where, remedy="name a pytorch_model.bin")
        with path.open("rb") as file:
            file_bytes = os.fstat(file.fileno()).st_size
            contents = _open(file, file_bytes, where)
            tensors = _find_tensors(contents.pickle.value, where)
            return _read_arrays(file, file_bytes, contents, tensors, where)
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})", where=where, remedy="check its path and permissions"
        ) from error
    except MemoryError:
        raise ResourceError("does not fit into memory", where=where, remedy="convert it on a larger machine") from None


def _open(file: BufferedReader, file_bytes: int, where: str) -> _Contents:
    head = file.read(64)
    if head.startswith(b"PK\x03\x04"):
        return _open_zip(file, file_bytes, where)
    if _LEGACY_MAGIC.to_bytes(10, "little") in head:
        return _open_legacy(file, file_bytes, where)
    refuse_pointer(head, CheckpointError, where)
    raise CheckpointError(
        f"begins with {head[:4]!r}",
        where=where,
        wanted="a zip archive or the legacy format of torch.save",
        remedy=RESAVE,
    )


def _open_zip(file: BufferedReader, file_bytes: int, where: str) -> _Contents:
    members = find_members(file, file_bytes, where)
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(f"has {len(roots)} members <name>/data.pkl", where=where, wanted="one", remedy=RESAVE)
    root = roots[0]
    if members[root + "data.pkl"].nbytes > MAX_PICKLE_BYTES:
        raise CheckpointError(f"its pickle has more than {MAX_PICKLE_BYTES} bytes", where=where, remedy=RESAVE)
    byte_order = "little"  # what torch assumes of the files of its versions before 2.1, which do not say
    if root + "byteorder" in members:
        span = members[root + "byteorder"]
        byte_order = read_span(file, Span(span.offset, min(span.nbytes, 16)), where).tobytes().decode("latin-1")
        if byte_order not in ("little", "big"):
            raise CheckpointError(
                f"has the byte order {byte_order!r}", where=where, wanted="'little' or 'big'", remedy=DAMAGED
            )
    pickle = interpret(read_span(file, members[root + "data.pkl"], where).tobytes(), 0, where)
    prefix = root + "data/"
    spans = {name.removeprefix(prefix): span for name, span in members.items() if name.startswith(prefix)}
    return _Contents(pickle, spans, byte_order)


def _open_legacy(file: BufferedReader, file_bytes: int, where: str) -> _Contents:
    head = read_span(file, Span(0, min(file_bytes, MAX_PICKLE_BYTES)), where).tobytes()
    magic = interpret(head, 0, where)
    protocol = interpret(head, magic.end, where)
    if magic.value != _LEGACY_MAGIC or protocol.value != _LEGACY_PROTOCOL:
        raise CheckpointError(
            f"wanted torch's magic number and protocol {_LEGACY_PROTOCOL}", where=where, remedy=DAMAGED
        )
    machine = interpret(head, protocol.end, where)
    pickle = interpret(head, machine.end, where)
    keys = interpret(head, pickle.end, where)
    if type(keys.value) is not list:
        raise CheckpointError("has no list of its storages", where=where, remedy=DAMAGED)
    spans: dict[str, Span] = {}
    position = keys.end
    for key in keys.value:
        storage = pickle.storages.get(key) if type(key) is str else None
        if storage is None or key in spans:
            raise CheckpointError("lists a storage twice, or one that it does not use", where=where, remedy=DAMAGED)
        count = int.from_bytes(read_span(file, Span(position, 8), where), "little", signed=True)
        span = Span(position + 8, storage.elements * ITEM_BYTES[storage.kind])
        if count != storage.elements or span.offset + span.nbytes > file_bytes:
            raise CheckpointError(
                f"storage {key!r:.40} has {count} elements at byte {position}",
                where=where,
                wanted=f"{storage.elements} before the end at {file_bytes}",
                remedy=DAMAGED,
            )
        spans[key] = span
        position = span.offset + span.nbytes
    # Little-endian on every machine (THPStorage_writeFileRaw), whatever the third pickle says of the saving one.
    return _Contents(pickle, spans, "little")


def _find_tensors(top: object, where: str) -> dict[str, Tensor]:
    """Return the tensors of the object itself, or of the one dict of tensors inside it."""
    if type(top) is not dict:
        raise CheckpointError(f"holds a {type(top).__name__}", where=where, wanted="a dict of tensors", remedy=RESAVE)
    value: dict[str | int, Any] = top
    if not _holds_tensors(value):
        # By identity, so that a thousand names of one large dict cost one look at it.
        dicts = {id(inner): name for name, inner in value.items() if type(inner) is dict}
        nested = [name for name in dicts.values() if _holds_tensors(value[name])]
        if len(nested) != 1 or nested[0] not in _WRAPPERS:
            found = ", ".join(f"{name!r:.40}" for name in nested[:5]) or "none"
            raise CheckpointError(
                f"holds no tensors at its top, and dicts of tensors under: {found}; wanted one, under "
                f"{' or '.join(_WRAPPERS)}",
                where=where,
                remedy="save that dict alone",
            )
        value = value[nested[0]]
    tensors: dict[str, Tensor] = {}
    dropped: list[str | int] = []
    for name, entry in value.items():
        if not isinstance(entry, Tensor):
            dropped.append(name)
        elif type(name) is str:
            tensors[name] = entry
        else:
            raise CheckpointError(f"has a tensor under the key {name}", where=where, wanted="a name", remedy=RESAVE)
    if dropped:
        _logger.debug("%s: dropped %d entries that are no tensors: %.200r", where, len(dropped), dropped[:5])
    return tensors


def _holds_tensors(value: Mapping[Any, object]) -> bool:
    return any(isinstance(entry, Tensor) for entry in value.values())


def _read_arrays(
    file: BufferedReader, file_bytes: int, contents: _Contents, tensors: Mapping[str, Tensor], where: str
) -> dict[str, NDArray[Any]]:
    kinds: dict[str, str] = {}
    for name, tensor in tensors.items():  # cheap checks before any storage is read
        if tensor.nbytes > max(file_bytes, MAX_EXPANDED_BYTES):
            raise CheckpointError(
                f"{name!r:.80} takes {tensor.nbytes} bytes, more than the file", where=where, remedy=RESAVE
            )
        if kinds.setdefault(tensor.storage.key, tensor.kind) != tensor.kind:
            raise CheckpointError(
                f"{name!r:.80} shares a storage with a tensor of another type", where=where, remedy=RESAVE
            )
    storages: dict[str, NDArray[Any]] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = _read_storage(file, contents, tensor.storage, tensor.kind, where)
        arrays[name] = _view(storages[key], tensor)
    return arrays


def _read_storage(file: BufferedReader, contents: _Contents, storage: Storage, kind: str, where: str) -> NDArray[Any]:
    """Return the elements of a storage as one read-only row of the given kind."""
    span = contents.spans.get(storage.key, Span(0, 0))
    if span.nbytes // ITEM_BYTES[storage.kind] != storage.elements:
        raise CheckpointError(
            f"storage {storage.key!r:.40} has {span.nbytes} bytes",
            where=where,
            wanted=f"{storage.elements} elements of {storage.kind}",
            remedy=DAMAGED,
        )
    data = read_span(file, span, where)
    whole = span.nbytes // ITEM_BYTES[kind] * ITEM_BYTES[kind]  # a storage of bytes may end amid an element
    elements: NDArray[Any] = data[:whole].view("uint16" if kind == "bfloat16" else kind)
    if contents.byte_order != sys.byteorder:
        elements.byteswap(inplace=True)
    if kind == "bool" and data.max(initial=0) > 1:
        raise CheckpointError(
            f"bool storage {storage.key!r:.40} has a byte other than 0 and 1", where=where, remedy=DAMAGED
        )
    if kind == "bfloat16":  # the upper half of a float32
        wide = elements.astype(np.uint32)
        wide <<= 16
        elements = wide.view(np.float32)
    elements.flags.writeable = False
    return elements


def _view(elements: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    if 0 in tensor.size:
        elements = np.empty(tensor.size, elements.dtype)
        elements.flags.writeable = False
        return elements
    # torch allows any stride along an axis of size 1, and numpy only such as fit into 64 bits.
    strides = [step * elements.itemsize if n > 1 else 0 for n, step in zip(tensor.size, tensor.stride, strict=True)]
    # ndarray() checks the bounds again, which as_strided() does not.
    return np.ndarray(tensor.size, elements.dtype, elements, tensor.offset * elements.itemsize, strides)
