"""A packed model in memory: mapped read-only, every byte checked, and opened by the library."""

import ctypes
import hashlib
import mmap
import os
import struct
from ctypes import byref, c_void_p
from pathlib import Path

import numpy as np

from edge_qa.bundle.manifest import FileRecord
from edge_qa.errors import BundleError
from edge_qa.inference.native.library import OK, Description, Library

# The header of kernels/source/packed_file.h; the hash is of everything but itself.
_HEADER = struct.Struct("<8sIIQQ32s")
_HASH_AT = _HEADER.size - hashlib.sha256().digest_size
_REMEDY = "pack the bundle again"


class PackedModel:
    """An open model of the native engine; `close` it when nothing runs any more."""

    def __init__(
        self, content: mmap.mmap, where: str | os.PathLike[str], library: Library, isa: str, record: FileRecord | None
    ) -> None:
        """Check and open what was mapped; `mapped` and `in_memory` do all of it."""
        self.library, self.isa = library, isa
        self._content = content
        # Through numpy, because ctypes takes no address of read-only memory.
        bytes_ = np.frombuffer(content, np.uint8)
        _check(where, bytes_, record)
        self.handle, error = c_void_p(), ctypes.create_string_buffer(256)
        code = library.functions.edge_qa_model_open(
            bytes_.ctypes.data, bytes_.size, isa.encode(), byref(self.handle), error, len(error)
        )
        if code != OK:
            raise BundleError(error.value.decode(errors="replace"), where=where, remedy=_REMEDY)
        self.description = Description()
        library.functions.edge_qa_model_describe(self.handle, byref(self.description))

    @classmethod
    def mapped(
        cls, path: str | os.PathLike[str], library: Library, isa: str, record: FileRecord | None = None
    ) -> "PackedModel":
        """Map a packed file read-only.

        record: size and sha256 of the whole file, where a manifest has them; its own header has one, too.
        Raises BundleError if it is missing, differs in any byte, or is not what the library takes.
        """
        content = _mapped(Path(path))
        model = cls(content, path, library, isa, record)
        # What was read to be hashed goes out of this process's memory again; what is used comes back.
        if hasattr(mmap, "MADV_DONTNEED"):
            content.madvise(mmap.MADV_DONTNEED)
        return model

    @classmethod
    def in_memory(cls, content: bytes, where: str | os.PathLike[str], library: Library, isa: str) -> "PackedModel":
        """Open the bytes of a packed file; where: what to name in errors."""
        memory = mmap.mmap(-1, len(content))
        memory.write(content)
        return cls(memory, where, library, isa, None)

    def close(self) -> None:
        """Free it. The mapping goes with the last reference."""
        if self.handle:
            self.library.functions.edge_qa_model_close(self.handle)
            self.handle = c_void_p()


def _mapped(path: Path) -> mmap.mmap:
    try:
        # Not a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # an empty file is a ValueError
        raise BundleError(f"cannot be mapped ({error})", where=path, remedy=_REMEDY) from None


def _check(
    where: str | os.PathLike[str], content: "np.ndarray[tuple[int], np.dtype[np.uint8]]", record: FileRecord | None
) -> None:
    if content.size < _HEADER.size:
        raise BundleError("is no packed model", where=where, remedy=_REMEDY)
    if record is not None:
        good = content.size == record.bytes and hashlib.sha256(content.data).hexdigest() == record.sha256
    else:
        digest = hashlib.sha256(content[:_HASH_AT].data)
        digest.update(content[_HEADER.size :].data)
        good = digest.digest() == content[_HASH_AT : _HEADER.size].tobytes()
    if not good:
        raise BundleError("its bytes are not those that were written (sha256 differs)", where=where, remedy=_REMEDY)
