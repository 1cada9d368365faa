"""Which reader a file has, by its name, and what bounds the reading."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from edge_qa.documents.readers.encodings import decode
from edge_qa.documents.readers.extracted import Extracted
from edge_qa.errors import InputError

_READERS = "edge_qa.documents.readers"


@dataclass(frozen=True)
class Kind:
    """A format: its name, where its reader is, and what the reader takes.

    version: goes up when the reader gives another text for the same file, which is then read again.
    """

    name: str
    module: str
    function: str
    takes_bytes: bool = False
    declares_encoding: bool = False
    version: int = 1

    @property
    def mark(self) -> str:
        """The name and the version as one word."""
        return f"{self.name}/{self.version}"


TEXT = Kind("text", "plain", "read_text")
_MARKDOWN = Kind("markdown", "plain", "read_markdown")
_HTML = Kind("html", "html", "read_html", declares_encoding=True)
_JSON_LINES = Kind("jsonl", "tables", "read_json_lines")
KINDS = {
    **dict.fromkeys((".txt", ".text", ".log", ".rst", ".adoc", ".org", ".eml"), TEXT),
    **dict.fromkeys((".md", ".markdown"), _MARKDOWN),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _HTML),
    ".csv": Kind("csv", "tables", "read_csv"),
    **dict.fromkeys((".tsv", ".tab"), Kind("tsv", "tables", "read_tsv")),
    **dict.fromkeys((".jsonl", ".ndjson"), _JSON_LINES),
    ".pdf": Kind("pdf", "pdf", "read_pdf", takes_bytes=True),
    ".docx": Kind("docx", "docx", "read_docx", takes_bytes=True),
    ".pptx": Kind("pptx", "pptx", "read_pptx", takes_bytes=True),
    ".odt": Kind("odt", "odt", "read_odt", takes_bytes=True),
    ".epub": Kind("epub", "epub", "read_epub", takes_bytes=True),
}


def kind_of(name: str | os.PathLike[str]) -> Kind | None:
    """Return the format that a file's name says, None for one that is not read unless it is asked for."""
    return KINDS.get(os.path.splitext(os.fspath(name))[1].lower())


def read(data: bytes, kind: Kind, *, latin_1: bool = False) -> Extracted:
    """Return the text of a file. Raises InputError, or MissingExtraError where a package is not installed."""
    reader: Callable[..., Extracted] = getattr(import_module(f"{_READERS}.{kind.module}"), kind.function)
    take = reader if kind.takes_bytes else partial(_decoded, reader, latin_1=latin_1, declared=kind.declares_encoding)
    extracted = take(data)
    if not extracted.text.strip():
        raise InputError("holds no text" + (" (scanned pages?)" if kind.name == "pdf" else ""))
    return extracted


def _decoded(reader: Callable[[str], Extracted], data: bytes, *, latin_1: bool, declared: bool) -> Extracted:
    return reader(decode(data, latin_1=latin_1, declared=declared))
