"""Bytes -> text."""

import codecs

import pytest

from edge_qa.documents.readers.encodings import decode
from edge_qa.errors import InputError


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Zoë".encode(), "Zoë"),
        ("Zoë".encode("utf-8-sig"), "Zoë"),
        ("Zoë".encode("utf-16"), "Zoë"),
        (codecs.BOM_UTF16_BE + "Zoë".encode("utf-16-be"), "Zoë"),
        ("Zoë".encode("utf-32"), "Zoë"),
        (b"", ""),
    ],
)
def test_what_is_found_without_being_asked(data, text):
    assert decode(data) == text


@pytest.mark.parametrize("data", ["Zoë".encode("latin-1"), "Zoë".encode("utf-16-le"), b"\xff\xfea", b"a\0"])
def test_what_is_refused(data):
    with pytest.raises(InputError):
        decode(data)


def test_latin_1_only_if_asked_for():
    assert decode("Zoë".encode("latin-1"), latin_1=True) == "Zoë"
    assert decode("Zoë".encode(), latin_1=True) == "Zoë"
    with pytest.raises(InputError, match="zero bytes"):
        decode(b"a\0", latin_1=True)


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ("<META http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", "shift_jis"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ("<meta charset=iso-8859-1>", "cp1252"),
    ],
)
def test_what_a_page_declares(head, encoding):
    text = {"shift_jis": "東京", "cp1252": "“Zoë”"}.get(encoding, "Привет")
    assert decode((head + text).encode(encoding), declared=True) == head + text


@pytest.mark.parametrize("declared", ["utf-16", "us-ascii", "rot13", "windows-1252"])
def test_a_wrong_declaration_does_no_harm_to_utf_8(declared):
    text = f"<meta charset={declared}>" + ("Zoe" if declared == "windows-1252" else "Zo\u00eb \u0101")
    if declared == "us-ascii":  # browsers take it for Windows-1252, and 0x81 is nothing there
        text += "\u0101\u0141"
    assert decode(text.encode(), declared=True).startswith("<meta")


def test_an_unknown_declaration_is_named():
    with pytest.raises(InputError, match="klingon"):
        decode(b"<meta charset=klingon>", declared=True)
