"""Bytes -> text: UTF-8, UTF-16 and UTF-32 with a byte order mark, what a page declares; Latin-1 only if asked for."""

import codecs
import re

from edge_qa.errors import InputError

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where a page may declare its encoding (HTML standard, 13.2.3.2), and how.
_PRESCAN_BYTES = 1024
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.I
)
# What browsers take these names for (Encoding standard, 4.2).
_AS_BROWSERS = {"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030"}


def decode(data: bytes, *, latin_1: bool = False, declared: bool = False) -> str:
    """Return the text of a file, without a byte order mark.

    latin_1: take what is not UTF-8 for Latin-1, which never fails and is often wrong.
    declared: look for the encoding in a `meta` element or an XML declaration.
    Raises InputError if the bytes are no text in that encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding)
    if b"\0" in data:
        raise InputError("holds zero bytes, so it is no text, or UTF-16 without a byte order mark")
    name = _declared(data) if declared else None
    try:
        return _decoded(data, name or "utf-8")
    except InputError:
        if name not in (None, "utf-8"):
            return _decoded(data, "utf-8")
        if latin_1:
            return data.decode("latin-1")
        raise


def _declared(data: bytes) -> str | None:
    match = _DECLARED.search(data[:_PRESCAN_BYTES])
    if match is None:
        return None
    try:
        name = codecs.lookup(match[1].decode("ascii")).name
    except LookupError:
        raise InputError(f"declares the encoding {match[1].decode('ascii')}, which is unknown here") from None
    # UTF-16 cannot be what ASCII letters declare; and codecs such as rot13 are no encodings of bytes.
    if name.startswith(("utf-16", "utf-32")) or not codecs.lookup(name)._is_text_encoding:
        return "utf-8"
    return _AS_BROWSERS.get(name, name)


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"is not {encoding.upper()} at byte {error.start}") from None
    except (LookupError, ValueError):
        raise InputError(f"cannot be decoded as {encoding}") from None
