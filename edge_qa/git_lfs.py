"""Tell a file from the pointer that Git LFS leaves in its place when it was not fetched."""

import os
from pathlib import Path

from edge_qa.errors import EdgeQAError

# The first line of every pointer (git-lfs, docs/spec.md) begins so.
_POINTER = b"version https://git-lfs"
POINTER_BYTES = len(_POINTER)


def refuse_pointer(source: Path | bytes, error: type[EdgeQAError], where: str | os.PathLike[str]) -> None:
    """Raise `error` if a file is a pointer of Git LFS, a few lines of text in place of the file itself.

    source: the file's first bytes, or its path. Raises OSError if it cannot be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            source = file.read(POINTER_BYTES)
    if source.startswith(_POINTER):
        raise error("a pointer of Git LFS, not the file itself", where=where, remedy="run git lfs pull where it lies")
