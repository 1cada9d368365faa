"""A bundle on disk: read with every byte hashed, written whole or not at all."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

_RESTORE = "restore the bundle or make it again"
# No manifest comes near this; a larger file is not one, and is not read into memory.
_LARGEST_MANIFEST = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory: its manifest and the very bytes that were hashed."""

    path: Path
    manifest: Manifest
    contents: dict[str, NDArray[np.uint8]]

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, model_later: bool = False) -> "Bundle":
        """Read a bundle folder and check every byte of it.

        model_later: leave the model's files alone; `read` reads and checks them if they are needed.
        That of the native engine is always left: it is mapped, and checked, by the engine.
        Raises BundleError if the folder is no bundle, is of another format, or differs in any byte
        from what was written.
        """
        folder = Path(path)
        manifest = load_manifest(folder)
        contents = {
            name: _read_checked(folder / name, record)
            for name, record in manifest.files.items()
            if not (name == PACKED_MODEL or (model_later and name.endswith((".xml", ".bin"))))
        }
        return cls(folder, manifest, contents)

    def read(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of one file, which are those that were hashed. Raises BundleError."""
        if name not in self.contents:
            return _read_checked(self.path / name, self.manifest.files[name])
        return self.contents[name]

    @property
    def model_xml(self) -> bytes:
        return self.read(MODEL_XML).tobytes()

    @property
    def model_bin(self) -> NDArray[np.uint8]:
        return self.read(MODEL_BIN)

    @property
    def tokenizer_json(self) -> str:
        return self.contents[TOKENIZER].tobytes().decode()

    @property
    def card(self) -> str:
        return self.contents[CARD].tobytes().decode()


def load_manifest(folder: Path) -> Manifest:
    """Read and check bundle.json alone. Raises BundleError."""
    path = folder / MANIFEST_NAME
    try:
        if not folder.is_dir():
            kind = "is not a folder" if folder.exists() else "does not exist"
            raise BundleError(kind, where=folder, remedy="give the folder of a bundle, made with edge-qa convert")
        if not path.is_file():
            is_checkpoint = (folder / "config.json").is_file()
            hint = f"convert it first: edge-qa convert {folder} BUNDLE" if is_checkpoint else _RESTORE
            raise BundleError(f"not a bundle, it holds no {MANIFEST_NAME}", where=folder, remedy=hint)
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise BundleError(f"{path.stat().st_size} bytes is no manifest", where=path, remedy=_RESTORE)
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", where=path, remedy="check its permissions") from None
    return read_manifest(content, str(path))


@dataclass(frozen=True)
class Draft:
    """A bundle being written; its folder takes its name when the `new_bundle` block ends."""

    folder: Path

    def add(self, name: str, content: bytes) -> None:
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


def _read_checked(path: Path, record: FileRecord) -> NDArray[np.uint8]:
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError("missing or not a plain file", where=path, remedy=_RESTORE)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != record.bytes:
                raise BundleError(f"{size} bytes, the manifest says {record.bytes}", where=path, remedy=_RESTORE)
            content = np.empty(size, np.uint8)
            read = file.readinto(content.data)
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", where=path, remedy="check its permissions") from None
    if read != size or hashlib.sha256(content.data).hexdigest() != record.sha256:
        raise BundleError("its bytes are not those that were written (sha256 differs)", where=path, remedy=_RESTORE)
    return content
