"""Small documents of the formats that are archives, and PDF, made by hand."""

import io
import zipfile
from collections.abc import Mapping

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_P = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_O = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)
_CORE = '<c:coreProperties xmlns:c="c" xmlns:dc="d"><dc:title>{}</dc:title></c:coreProperties>'


def archive(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def docx(body: str, *, title: str = "", **members: str) -> bytes:
    styles = f"""<w:styles {_W}><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
    <w:style w:styleId="Outlined"><w:name w:val="Mine"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style></w:styles>"""
    document = f"<w:document {_W}><w:body>{body}</w:body></w:document>"
    parts = {"word/document.xml": document, "word/styles.xml": styles, "docProps/core.xml": _CORE.format(title)}
    return archive(parts | members)


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(*slides: str, notes: str = "") -> bytes:
    """Slides are stored in reverse, so that their order is that of the presentation alone."""
    names = [f"slide{len(slides) - number}.xml" for number in range(len(slides))]
    members = {
        "ppt/presentation.xml": f"<p:presentation {_P}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{256 + number}" r:id="rId{number}"/>' for number in range(len(slides)))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": "<Relationships>"
        + "".join(
            f'<Relationship Id="rId{number}" Type="{_RELATIONS}/slide" Target="slides/{name}"/>'
            for number, name in enumerate(names)
        )
        + "</Relationships>",
    }
    for name, slide in zip(names, slides, strict=True):
        members[f"ppt/slides/{name}"] = f"<p:sld {_P}>{slide}</p:sld>"
    if notes:
        members[f"ppt/slides/_rels/{names[0]}.rels"] = (
            f'<Relationships><Relationship Id="r" Type="{_RELATIONS}/notesSlide" Target="../notesSlides/n.xml"/>'
            "</Relationships>"
        )
        members["ppt/notesSlides/n.xml"] = f"<p:notes {_P}>{shape(notes)}{shape('7', 'sldNum')}</p:notes>"
    return archive(members)


def shape(text: str, kind: str = "body") -> str:
    return f'<p:sp><p:nvPr><p:ph type="{kind}"/></p:nvPr><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sp>'


def odt(body: str, title: str = "") -> bytes:
    text = f"<office:body><office:text>{body}</office:text></office:body>"
    content = f"<office:document-content {_O}>{text}</office:document-content>"
    return archive(
        {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, "meta.xml": _CORE.format(title)}
    )


def epub(*chapters: str, title: str = "") -> bytes:
    items = "".join(f'<item id="c{number}" href="ch%20{number}.xhtml"/>' for number in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    package = f'<package xmlns:dc="d"><metadata><dc:title>{title}</dc:title></metadata><manifest>{items}</manifest>'
    members = {
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": f"{package}<spine>{spine}<itemref idref='lost'/></spine></package>",
    }
    for number, chapter in enumerate(chapters):
        members[f"OPS/ch {number}.xhtml"] = f"<!DOCTYPE html><html><body>{chapter}</body></html>"
    return archive(members)


def pdf(*pages: str, title: str = "") -> bytes:
    """Each page shows lines of ASCII text."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for page in pages:
        lines = " T* ".join(f"({line}) Tj" for line in page.split("\n"))
        stream = f"BT /F 12 Tf 14 TL 72 700 Td {lines} ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R /Resources"
            " << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< /Title ({title}) >>")
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = (
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    )
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()
