"""EPUB books: the chapters in the order of the spine, each read as a page of the web."""

import posixpath
import urllib.parse
from collections.abc import Mapping

from edge_qa.documents.readers.archives import Archive
from edge_qa.documents.readers.encodings import decode
from edge_qa.documents.readers.extracted import MAX_CHARACTERS, Extracted, TextBuilder
from edge_qa.documents.readers.html import read_html_into
from edge_qa.documents.readers.xml import parse
from edge_qa.errors import InputError


def read_epub(data: bytes) -> Extracted:
    """Return the text of an .epub file. Raises InputError for one that is encrypted."""
    archive = Archive(data)
    package = _package(archive)
    builder = TextBuilder()
    title, chapters = _chapters(archive.read(package), posixpath.dirname(package))
    for chapter in chapters:
        if chapter not in archive:
            continue  # a reader of books goes on, too
        read_html_into(decode(archive.read(chapter), declared=True), builder)
        if builder.length > MAX_CHARACTERS:
            raise InputError(f"has a text of more than {MAX_CHARACTERS} characters")
    return builder.result(title)


def _package(archive: Archive) -> str:
    found: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "rootfile":
            found.append(attributes.get("full-path", ""))

    parse(archive.read("META-INF/container.xml"), start=start, end=lambda _: None, text=lambda _: None)
    if not found:
        raise InputError("names no package document")
    return found[0]


def _chapters(package: bytes, folder: str) -> tuple[str, list[str]]:
    """The book's title, and the names of its chapters."""
    items: dict[str, str] = {}
    spine: list[str] = []
    title: list[str] = []
    inside: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        inside.append(name)
        if name == "item":
            href = urllib.parse.unquote(attributes.get("href", "").split("#")[0])
            items[attributes.get("id", "")] = posixpath.normpath(posixpath.join(folder, href))
        elif name == "itemref":
            spine.append(attributes.get("idref", ""))

    def end(name: str) -> None:
        inside.pop()
        if name == "title":
            title.append(" ")

    def text(text: str) -> None:
        if inside[-1] == "title":
            title.append(text)

    parse(package, start=start, end=end, text=text)
    return "".join(title), [items[identity] for identity in spine if identity in items]
