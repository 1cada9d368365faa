"""Rows of questions from Parquet files (pyarrow, which the extra `ray` brings)."""

from collections.abc import Iterator
from pathlib import Path

from edge_qa.errors import InputError, missing_extra
from edge_qa.evaluation.rows import Row, row_of

try:
    import pyarrow
    from pyarrow import parquet
except ModuleNotFoundError as error:
    raise missing_extra(error, "ray") from None

_COLUMNS = ("id", "question", "context")


def count_rows(path: Path) -> int:
    """Return how many rows a file has. Raises InputError."""
    return int(_opened(path).metadata.num_rows)


def read_rows(path: Path) -> Iterator[Row]:
    """Iterate over the rows of a file: its columns `question` and `context`, and `id` if it has one.

    A row that cannot be used has an error. Raises InputError for a file that is none, or lacks a column.
    """
    file = _opened(path)
    names = [name for name in _COLUMNS if name in file.schema_arrow.names]
    if missing := [name for name in _COLUMNS[1:] if name not in names]:
        raise InputError(f"has no column {' and '.join(missing)}", where=path, wanted="question and context")
    number = 0
    for batch in file.iter_batches(columns=names):
        for value in batch.to_pylist():
            number += 1
            # A null is a value that is not there, as in JSON lines without the key.
            yield row_of({name: one for name, one in value.items() if one is not None}, number)


def _opened(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot be read as Parquet ({reason})", where=path, remedy="write it again") from None
