"""A bundle on disk: read with every byte hashed, written whole or not at all."""

import contextlib
import errno
import hashlib
import mmap
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_qa.bundle.ir_check import check_ir
from edge_qa.bundle.manifest import (
    CARD,
    FORMAT,
    MANIFEST_NAME,
    MODEL_BIN,
    MODEL_XML,
    PACKED_MODEL,
    TOKENIZER,
    FileRecord,
    Manifest,
    read_manifest,
)
from edge_qa.errors import BundleError
from edge_qa.files import new_folder
from edge_qa.git_lfs import POINTER_BYTES, refuse_pointer

_RESTORE = "restore the bundle or make it again"
# No manifest comes near this; a larger file is not one, and is not read into memory.
_LARGEST_MANIFEST = 16 * 2**20
# A pipe that nobody writes to must not keep the reader waiting.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory: its manifest and the very bytes that were hashed."""

    path: Path
    manifest: Manifest
    contents: dict[str, NDArray[np.uint8]]
    # What was not read yet, open: it stays readable when another bundle takes the folder's place.
    later: "dict[str, _OpenFile]" = field(default_factory=dict, repr=False)
    # The arrays as they were read: `contents` of a bundle that is still being made are others.
    as_read: "dict[str, weakref.ref[NDArray[np.uint8]]]" = field(default_factory=dict, repr=False)
    # The models of `contents` that were looked at.
    safe: set[str] = field(default_factory=set, repr=False, init=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, model_later: bool = False) -> "Bundle":
        """Read a bundle folder and check every byte of it; if it is replaced meanwhile, read what replaced it.

        model_later: leave the model's files alone; `read` reads and checks them if they are needed.
        That of the native engine is always left: it is mapped, and checked, by the engine.
        Raises BundleError if the folder is no bundle, is of another format, or differs in any byte
        from what was written.
        """
        folder = Path(path)
        while True:
            with _opened(folder) as descriptor:
                try:
                    return cls._load(folder, descriptor, model_later)
                except BundleError:
                    if not _was_replaced(folder, descriptor):
                        raise

    @classmethod
    def _load(cls, folder: Path, descriptor: int, model_later: bool) -> "Bundle":
        manifest = _read_manifest(folder, descriptor)
        contents, later = {}, {}
        for name, record in manifest.files.items():
            if not (name == PACKED_MODEL or (model_later and name.endswith((".xml", ".bin")))):
                contents[name] = _read_checked(_open_file(folder, descriptor, name), folder / name, record)
            else:
                try:
                    later[name] = _open_file(folder, descriptor, name)
                except BundleError:
                    if _was_replaced(folder, descriptor):
                        raise
                    # What is missing is missed by whoever reads it.
        return cls(folder, manifest, contents, later, {name: weakref.ref(array) for name, array in contents.items()})

    def read(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of one file, which are those that were hashed. Raises BundleError."""
        if name in self.contents:
            return self.contents[name]
        path, record = self.path / name, self.manifest.files[name]
        if name in self.later:
            return _read_checked(self.later[name], path, record)
        with _opened(self.path) as descriptor:
            return _read_checked(_open_file(self.path, descriptor, name), path, record)

    def checked_xml(self, name: str) -> bytes:
        """Return one of the IRs, once it was looked at: see `edge_qa/bundle/ir_check.py`. Raises BundleError."""
        xml = self.read(name).tobytes()
        if name not in self.safe:
            weights = self.contents.get(MODEL_BIN)
            size = self.manifest.files[MODEL_BIN].bytes if weights is None else weights.nbytes
            check_ir(xml, size, self.path / name)
            self.safe.add(name)
        return xml

    def _text(self, name: str) -> str:
        try:
            return self.contents[name].tobytes().decode()
        except UnicodeDecodeError as error:
            raise BundleError(f"not UTF-8 at byte {error.start}", where=self.path / name, remedy=_RESTORE) from None

    def map(self, name: str) -> mmap.mmap:
        """Return one file, mapped read-only; its bytes are for the caller to check. Raises BundleError."""
        path = self.path / name
        try:
            if name in self.later:
                return self.later[name].map()
            with _opened(self.path) as descriptor:
                return _open_file(self.path, descriptor, name).map()
        except (OSError, ValueError) as error:  # an empty file is a ValueError
            raise _unreadable(path, error) from None

    def source(self) -> "Source":
        """Return what gives this bundle once more: the folder it was read from, or itself if that has other bytes."""
        as_read = all(self.as_read.get(name, lambda: None)() is content for name, content in self.contents.items())
        return Source(Path(self.path).absolute(), self.manifest.digest, None if as_read else self)

    @property
    def model_xml(self) -> bytes:
        """The IR, which is safe to read. Raises BundleError."""
        return self.checked_xml(MODEL_XML)

    @property
    def model_bin(self) -> NDArray[np.uint8]:
        """The weights, for every IR of the bundle."""
        return self.read(MODEL_BIN)

    @property
    def tokenizer_json(self) -> str:
        """The content of tokenizer.json."""
        return self._text(TOKENIZER)

    @property
    def card(self) -> str:
        """The model card, README.md."""
        return self._text(CARD)


@dataclass(frozen=True)
class Source:
    """Where a bundle comes from, without its bytes."""

    path: Path
    digest: str
    in_memory: Bundle | None = None

    def bundle(self) -> Bundle:
        """Return the bundle once more, its model's files to be read later. Raises BundleError if it was replaced."""
        if self.in_memory is not None:
            return self.in_memory
        bundle = Bundle.load(self.path, model_later=True)
        if bundle.manifest.digest != self.digest:
            raise BundleError("was replaced by another bundle meanwhile", where=self.path, remedy="load it again")
        return bundle


def _read_manifest(folder: Path, descriptor: int) -> Manifest:
    """Read and check bundle.json alone. Raises BundleError."""
    path = folder / MANIFEST_NAME
    try:
        file = _OpenFile(os.open(MANIFEST_NAME, _READ, dir_fd=descriptor))
    except FileNotFoundError:
        file = None
    except OSError as error:
        raise _unreadable(path, error) from None
    if file is None or not file.is_plain:
        is_checkpoint = (folder / "config.json").is_file()
        hint = f"convert it first: edge-qa convert {folder} BUNDLE" if is_checkpoint else _RESTORE
        raise BundleError(f"not a bundle, it holds no {MANIFEST_NAME}", where=folder, remedy=hint)
    if file.size > _LARGEST_MANIFEST:
        raise BundleError(f"{file.size} bytes is no manifest", where=path, remedy=_RESTORE)
    try:
        content = file.read(file.size)
    except OSError as error:
        raise _unreadable(path, error) from None
    refuse_pointer(content.tobytes(), BundleError, path)
    return read_manifest(content.tobytes(), str(path))


@dataclass(frozen=True)
class Draft:
    """A bundle being written; its folder takes its name when the `new_bundle` block ends."""

    folder: Path

    def add(self, name: str, content: bytes) -> None:
        """Write one file."""
        (self.folder / name).write_bytes(content)

    def seal(self, **parts: Any) -> Manifest:
        """Hash the files that are there and write bundle.json with the other `parts` of the Manifest."""
        files = {path.name: _record(path) for path in sorted(self.folder.iterdir()) if path.name != MANIFEST_NAME}
        manifest = Manifest(format=FORMAT, digest="", files=files, **parts)
        manifest = replace(manifest, digest=manifest.compute_digest())
        content = manifest.to_bytes()
        read_manifest(content, MANIFEST_NAME)  # what is written can be read back
        self.add(MANIFEST_NAME, content)
        return manifest


@contextlib.contextmanager
def new_bundle(destination: str | os.PathLike[str], *, force: bool = False) -> Iterator[Draft]:
    """Yield a Draft; when the block ends without an error it has become the bundle at `destination`."""
    with new_folder(Path(destination), force=force) as folder:
        yield Draft(folder)


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


class _OpenFile:
    """A file that is open for as long as this value lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.size, self.is_plain = status.st_size, stat.S_ISREG(status.st_mode)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, size: int) -> NDArray[np.uint8]:
        """Return the first `size` bytes, or all if there are fewer."""
        content = np.empty(size, np.uint8)
        done = 0
        # At a place of its own: a forked child reads from the same open file.
        while done < size and (step := os.preadv(self._descriptor, [content.data[done:]], done)):
            done += step
        return content[:done]

    def map(self) -> mmap.mmap:
        """Return the file, mapped read-only; it stays when this value goes."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Yield the descriptor of a folder; what takes the folder's name meanwhile does not change what is read."""
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        kind = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise BundleError(kind, where=folder, remedy="give the folder of a bundle, made with edge-qa convert") from None
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _was_replaced(folder: Path, descriptor: int) -> bool:
    """True if the folder's name is another folder's by now."""
    try:
        return not os.path.samestat(os.stat(folder), os.fstat(descriptor))
    except OSError:
        return False


def _open_file(folder: Path, descriptor: int, name: str) -> _OpenFile:
    try:
        # Links are followed, as those of a cache of downloads: the hash guards the bytes, wherever they lie.
        file = _OpenFile(os.open(name, _READ, dir_fd=descriptor))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # none, a circle of links, a socket
            raise BundleError("missing or not a plain file", where=folder / name, remedy=_RESTORE) from None
        raise _unreadable(folder / name, error) from None
    if not file.is_plain:
        raise BundleError("missing or not a plain file", where=folder / name, remedy=_RESTORE)
    return file


def _read_checked(file: _OpenFile, path: Path, record: FileRecord) -> NDArray[np.uint8]:
    if file.size != record.bytes:
        refuse_pointer(file.read(POINTER_BYTES).tobytes(), BundleError, path)
        raise BundleError(f"{file.size} bytes, the manifest says {record.bytes}", where=path, remedy=_RESTORE)
    try:
        content = file.read(record.bytes)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(content) != record.bytes or hashlib.sha256(content.data).hexdigest() != record.sha256:
        raise BundleError("its bytes are not those that were written (sha256 differs)", where=path, remedy=_RESTORE)
    return content


def _unreadable(path: Path, error: Exception) -> BundleError:
    reason = getattr(error, "strerror", None) or error
    return BundleError(f"cannot be read ({reason})", where=path, remedy="check its permissions")
