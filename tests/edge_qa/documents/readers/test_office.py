"""Word documents, slides, OpenDocument texts and books."""

import pytest

from edge_qa.documents.readers.archives import Archive
from edge_qa.documents.readers.docx import read_docx
from edge_qa.documents.readers.epub import read_epub
from edge_qa.documents.readers.kinds import KINDS, read
from edge_qa.documents.readers.odt import read_odt
from edge_qa.documents.readers.pptx import read_pptx
from edge_qa.errors import InputError
from tests.support.documents import archive, docx, epub, odt, paragraph, pptx, shape


def blocks(extracted) -> list[tuple[str, int]]:
    return [(extracted.text[one.start : one.end], one.level) for one in extracted.blocks]


def test_a_word_document():
    row = "<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>"
    table = f"<w:tbl>{row.format(paragraph('Tea'), paragraph('2') + paragraph('EUR'))}</w:tbl>"
    runs = "<w:p><w:r><w:t>One</w:t><w:tab/><w:t>line</w:t><w:br/><w:t>two</w:t></w:r></w:p>"
    deleted = "<w:p><w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
    extracted = read_docx(
        docx(
            paragraph("Top", "berschrift1")
            + paragraph("A &amp; B")
            + paragraph("Deep", "Outlined")
            + table
            + runs
            + deleted,
            title="The  title",
            **{"word/footnotes.xml": f"<w:footnotes xmlns:w='w'>{paragraph('A note.')}</w:footnotes>"},
        )
    )
    assert blocks(extracted) == [
        ("Top", 1),
        ("A & B", 0),
        ("Deep", 3),
        ("Tea | 2 EUR", 0),
        ("One\tline\ntwo", 0),
        ("A note.", 0),
    ]
    assert extracted.title == "The title"


def test_slides_are_pages_in_the_order_of_the_presentation():
    extracted = read_pptx(
        pptx(shape("First", "title") + shape("Body"), shape("Second", "ctrTitle"), notes="Say hello.")
    )
    assert blocks(extracted) == [("First", 1), ("Body", 0), ("Say hello.", 0), ("Second", 1)]
    assert extracted.page_starts == (0, extracted.text.index("Second"))


def test_an_opendocument_text():
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Top</text:h>'
        '<text:p>One<text:tab/>two<text:s text:c="3"/>three<text:line-break/>four</text:p>'
        "<table:table><table:table-row><table:table-cell><text:p>Tea</text:p></table:table-cell>"
        "<table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table>"
    )
    extracted = read_odt(odt(body, title="Mine"))
    assert blocks(extracted) == [("Top", 2), ("One\ttwo   three\nfour", 0), ("Tea | 2", 0)]
    assert extracted.title == "Mine"


def test_a_book():
    extracted = read_epub(epub("<h1>One</h1><p>First.</p>", "<h1>Two</h1><p>Second.</p>", title="A book"))
    assert blocks(extracted) == [("One", 1), ("First.", 0), ("Two", 1), ("Second.", 0)]
    assert extracted.title == "A book"


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><b>&b;</b>'
EXTERNAL = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><b>&a;</b>'


@pytest.mark.parametrize("suffix", [".docx", ".pptx", ".odt", ".epub"])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "no document of this kind"),
        (
            dict.fromkeys(
                ("word/document.xml", "ppt/presentation.xml", "content.xml", "META-INF/container.xml"), "<a>"
            ),
            "not well-formed",
        ),
        (
            dict.fromkeys(("word/document.xml", "ppt/presentation.xml", "content.xml", "META-INF/container.xml"), BOMB),
            "document type",
        ),
        (
            dict.fromkeys(
                ("word/document.xml", "ppt/presentation.xml", "content.xml", "META-INF/container.xml"), EXTERNAL
            ),
            "document type",
        ),
        (
            dict.fromkeys(
                ("word/document.xml", "ppt/presentation.xml", "content.xml", "META-INF/container.xml"), "<a>" * 10_000
            ),
            "500 elements deep",
        ),
    ],
)
def test_hostile_documents(suffix, members, message):
    with pytest.raises(InputError, match=message):
        read(archive(members), KINDS[suffix])


@pytest.mark.parametrize("suffix", [".docx", ".pptx", ".odt", ".epub"])
@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"plain text", docx(paragraph("text"))[:-40]])
def test_what_is_no_archive(suffix, data):
    with pytest.raises(InputError, match="no ZIP archive"):
        read(data, KINDS[suffix])


def test_a_damaged_member_is_found_out():
    data = bytearray(docx(paragraph("text " * 1000)))
    data[60:80] = bytes(20)
    with pytest.raises(InputError):
        read_docx(bytes(data))


def test_a_zip_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr("edge_qa.documents.readers.archives.MEMBER_BYTES", 10**6)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_docx(archive({"word/document.xml": b"\0" * (10**6 + 1)}))


def test_all_members_together_are_bounded(monkeypatch):
    monkeypatch.setattr("edge_qa.documents.readers.archives.ALL_BYTES", 2500)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_epub(epub(*["<p>" + "a" * 1000] * 3))


def test_too_many_members(monkeypatch):
    monkeypatch.setattr("edge_qa.documents.readers.archives.MOST_MEMBERS", 2)
    with pytest.raises(InputError, match="3 members"):
        Archive(archive({"a": "", "b": "", "c": ""}))


def test_a_document_without_text_says_so():
    with pytest.raises(InputError, match="holds no text"):
        read(docx(""), KINDS[".docx"])
