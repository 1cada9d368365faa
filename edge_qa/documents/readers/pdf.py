"""PDF: the text of each page, by pypdfium2 (the extra `documents`)."""

import re

from edge_qa.documents.readers.extracted import MAX_CHARACTERS, Extracted, TextBuilder
from edge_qa.errors import InputError, missing_extra

try:
    import pypdfium2
except ModuleNotFoundError as error:
    raise missing_extra(error, "documents") from None

_MOST_PAGES = 20_000
# A line that ends a sentence, or is a short one, and a line that begins with a capital, a digit or a bullet.
_PARAGRAPH = re.compile(r"(?<=[.:;!?])[ ]*\n(?=[ ]{2,}|[\u2022\u2013\-*]|\d+[.)])|\n[ ]*\n")
# How PDFium writes a hyphen at the end of a line.
_HYPHEN = re.compile("[\ufffe\u00ad\x02]\n?")


def read_pdf(data: bytes) -> Extracted:
    """Return the text of a PDF file with its pages. Raises InputError for one that needs a password or is damaged."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        what = "needs a password" if "assword" in str(error) else f"is no PDF, or damaged ({error})"
        raise InputError(what) from None
    try:
        if len(document) > _MOST_PAGES:
            raise InputError(f"has {len(document)} pages, more than {_MOST_PAGES}")
        builder = TextBuilder()
        for page in range(len(document)):
            builder.page()
            for paragraph in _PARAGRAPH.split(_page_text(document, page)):
                builder.add(paragraph)
            if builder.length > MAX_CHARACTERS:
                raise InputError(f"has a text of more than {MAX_CHARACTERS} characters")
        return builder.result(document.get_metadata_dict().get("Title", ""))
    finally:
        document.close()


def _page_text(document: "pypdfium2.PdfDocument", number: int) -> str:
    try:
        page = document[number]
        text = page.get_textpage()
    except pypdfium2.PdfiumError:
        return ""  # one bad page is no reason to lose the others
    try:
        found: str = text.get_text_range().replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    finally:
        text.close()
        page.close()
    return _HYPHEN.sub("", found)
