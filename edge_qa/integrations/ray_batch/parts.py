"""A file or a folder of questions -> parts, each some rows of one file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_qa.errors import InputError
from edge_qa.evaluation.rows import Row, is_lines, stream_rows

_PARQUET = ".parquet"
# What is taken from a folder; a file that is named may have another name.
_ENDINGS = (_PARQUET, ".jsonl", ".jsonl.gz", ".ndjson", ".json")


@dataclass(frozen=True)
class Part:
    """Rows that are answered together. source: the file, as the manifest names it. first: of its rows, from 1."""

    number: int
    source: str
    first: int
    rows: tuple[Row, ...]

    def sha256(self) -> str:
        """Return what tells these rows from others."""
        content = [[row.id, row.question, row.context, row.error] for row in self.rows]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def input_files(source: Path) -> list[Path]:
    """Return the files to read, in the order of their names; hidden ones and markers such as _SUCCESS are left out.

    Raises InputError where there is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError("is no file and no folder", where=source, remedy="give questions as JSON lines or Parquet")
    inside = (path for path in source.rglob("*") if path.is_file() and path.name.endswith(_ENDINGS))
    found = sorted(
        path for path in inside if not any(part.startswith((".", "_")) for part in path.relative_to(source).parts)
    )
    if not found:
        raise InputError("holds no questions", where=source, wanted=f"files that end with {', '.join(_ENDINGS)}")
    return found


def read_parts(source: Path, files: Sequence[Path], lines: int) -> Iterator[Part]:
    """Iterate over the parts of some files, `lines` rows each; no part is of two files."""
    number = 0
    for path in files:
        rows, first = _rows(path), 1
        name = path.name if path == source else path.relative_to(source).as_posix()
        while chunk := tuple(islice(rows, lines)):
            yield Part(number, name, first, chunk)
            number, first = number + 1, first + len(chunk)


def count_rows(files: Sequence[Path]) -> int:
    """Return how many rows there are, 0 where only reading would tell."""
    total = 0
    for path in files:
        if path.name.endswith(_PARQUET):
            from edge_qa.integrations.ray_batch.parquet import count_rows as count

            total += count(path)
            continue
        with path.open("rb") as file:
            if not is_lines(file.peek(4096)):
                return 0
            total += sum(1 for line in file if line.strip())
    return total


def _rows(path: Path) -> Iterator[Row]:
    if path.name.endswith(_PARQUET):
        # Imported here: JSON lines need no pyarrow.
        from edge_qa.integrations.ray_batch.parquet import read_rows

        yield from read_rows(path)
        return
    try:
        with path.open("rb") as file:
            yield from stream_rows(file, str(path))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="check the file") from None
