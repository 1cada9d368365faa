"""Bytes of a file -> its text, or the name of what the file is instead of UTF-8."""

from os import PathLike

from edge_qa.errors import InputError
from edge_qa.git_lfs import refuse_pointer

# First bytes -> what such a file is, and what to do with it.
_UNPACK = "unpack it first"
_KINDS = {
    b"\x1f\x8b": ("gzip", _UNPACK),
    b"BZh": ("bzip2", _UNPACK),
    b"\xfd7zXZ\0": ("xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("Zstandard", _UNPACK),
    b"%PDF-": ("PDF", "extract its text, for example with pdftotext"),
    b"PAR1": ("Parquet", "write it as JSON lines, for example with pandas.read_parquet and to_json"),
    b"ARROW1": ("Arrow", "write it as JSON lines, for example with datasets and to_json"),
    b"SQLite format 3\0": ("an SQLite database", "write its rows as JSON lines"),
    b"\xd0\xcf\x11\xe0": ("a document of an old Microsoft Office", "save it as plain text"),
}
# What a zip archive holds -> what it then is.
_ZIPPED = {
    b"word/": "a Word document (docx)",
    b"xl/": "an Excel sheet (xlsx)",
    b"ppt/": "a PowerPoint presentation (pptx)",
    b"opendocument.text": "an OpenDocument text (odt)",
}
_UTF_16_OR_32 = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def decode_text(raw: bytes, where: str | PathLike[str]) -> str:
    """Return UTF-8 as text; a byte order mark stays in it.

    Raises InputError for anything else, by name where the first bytes tell it.
    """
    refuse_other_kinds(raw, where)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 at byte {error.start} (0x{raw[error.start]:02x})",
            where=where,
            remedy="convert it, for example with iconv -t UTF-8",
        ) from error


def refuse_other_kinds(start: bytes, where: str | PathLike[str]) -> None:
    """Raise InputError if the first bytes of a file are not those of UTF-8 text but of a kind that has a name."""
    refuse_pointer(start, InputError, where)
    encoding = next((name for mark, name in _UTF_16_OR_32.items() if start.startswith(mark)), None)
    if encoding is None and len(start) >= 4 and (start[0] == 0) != (start[1] == 0) and 0 in start[2:4]:
        encoding = "UTF-16"  # without its mark: every other byte of plain letters is zero
    if encoding is not None:
        raise InputError(
            f"is {encoding}", where=where, wanted="UTF-8", remedy=f"convert it: iconv -f {encoding} -t UTF-8"
        )
    kind = next((kind for mark, kind in _KINDS.items() if start.startswith(mark)), None)
    if start.startswith(b"PK\x03\x04"):
        zipped = next((name for mark, name in _ZIPPED.items() if mark in start), None)
        kind = ("a zip archive", _UNPACK) if zipped is None else (zipped, "save it as plain text")
    if kind is not None:
        raise InputError(f"is {kind[0]}", where=where, wanted="text in UTF-8", remedy=kind[1])
