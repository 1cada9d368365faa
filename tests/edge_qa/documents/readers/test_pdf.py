"""PDF: text with pages; without the extra it is a line that says how to get it."""

import sys

import pytest

from edge_qa.documents.index import DocumentIndex
from edge_qa.documents.readers.kinds import KINDS, read
from edge_qa.errors import InputError, MissingExtraError
from tests.support.documents import pdf


def test_pages(tmp_path):
    pytest.importorskip("pypdfium2")
    (tmp_path / "a.pdf").write_bytes(
        pdf("The rent is 900 euros.\nIt is due in May.", "The cat is Minka.", title="Lease")
    )
    extracted = read((tmp_path / "a.pdf").read_bytes(), KINDS[".pdf"])
    assert extracted.title == "Lease"
    assert len(extracted.page_starts) == 2
    assert extracted.text[extracted.page_starts[1] :] == "The cat is Minka."
    index = DocumentIndex.build([tmp_path], tmp_path / "library.db")
    (passage,) = index.search("cat")
    assert (passage.page, passage.file.page(extracted.page_starts[1])) == (1, 2)
    assert passage.file.page(extracted.page_starts[1] - 1) == 1


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", b"text", pdf("a")[:100]])
def test_what_is_no_pdf(data):
    pytest.importorskip("pypdfium2")
    with pytest.raises(InputError, match="no PDF"):
        read(data, KINDS[".pdf"])


def test_a_page_without_text_says_so():
    pytest.importorskip("pypdfium2")
    with pytest.raises(InputError, match="scanned"):
        read(pdf(""), KINDS[".pdf"])


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    monkeypatch.delitem(sys.modules, "edge_qa.documents.readers.pdf", raising=False)
    with pytest.raises(MissingExtraError, match=r"edge-qa\[documents\]"):
        read(b"", KINDS[".pdf"])
    (tmp_path / "a.pdf").write_bytes(pdf("a"))
    assert "pip install" in DocumentIndex.build([tmp_path], tmp_path / "library.db").report.problems[0].reason
