"""Slides: a page each, its title as a heading, and what the speaker noted."""

import posixpath
from collections.abc import Mapping

from edge_qa.documents.readers.archives import Archive
from edge_qa.documents.readers.extracted import Extracted, TextBuilder
from edge_qa.documents.readers.office import Paragraphs, core_title
from edge_qa.documents.readers.xml import parse

_CORE = "docProps/core.xml"
_SHOW = "ppt/presentation.xml"
_NOT_CONTENT = {"dt", "ftr", "sldNum", "hdr", "sldImg"}


def read_pptx(data: bytes) -> Extracted:
    """Return the text of a .pptx file in the order of its slides."""
    archive = Archive(data)
    builder = TextBuilder()
    for slide in _slides(archive):
        builder.page()
        for part in (slide, *_targets(archive, slide, "notesSlide").values()):
            if part in archive:
                shapes = _Shapes(builder, first_is_title=part == slide)
                parse(archive.read(part), start=shapes.start, end=shapes.end, text=shapes.text)
    return builder.result(core_title(archive.read(_CORE)) if _CORE in archive else "")


def _slides(archive: Archive) -> list[str]:
    identities: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sldId":
            identities.append(attributes.get("id", ""))

    parse(archive.read(_SHOW), start=start, end=lambda _: None, text=lambda _: None)
    targets = _targets(archive, _SHOW, "slide")
    return [targets[identity] for identity in identities if identity in targets]


def _targets(archive: Archive, part: str, kind: str) -> dict[str, str]:
    """What a part refers to, by the identity of the relation."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    found: dict[str, str] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith(f"/{kind}"):
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            found[attributes.get("Id", "")] = target.lstrip("/")

    if relations in archive:
        parse(archive.read(relations), start=start, end=lambda _: None, text=lambda _: None)
    return found


class _Shapes:
    def __init__(self, builder: TextBuilder, *, first_is_title: bool) -> None:
        self._paragraphs = Paragraphs(builder)
        self._titles = first_is_title
        self._kind = ""  # of the placeholder that the text is in
        self._left_out = 0
        self._in_text = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Fallback" or self._left_out:
            self._left_out += 1
        elif name == "sp":
            self._kind = ""
        elif name == "ph":
            self._kind = attributes.get("type", "")
        elif name == "t":
            self._in_text = True
        elif name == "br":
            self._paragraphs.text("\n")
        elif name == "tr":
            self._paragraphs.begin_row()

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self._paragraphs.end_paragraph(int(self._titles and self._kind in ("title", "ctrTitle")))
        elif name == "tc":
            self._paragraphs.end_cell()
        elif name == "tr":
            self._paragraphs.end_row()

    def text(self, text: str) -> None:
        if self._in_text and not self._left_out and self._kind not in _NOT_CONTENT:
            self._paragraphs.text(text)
