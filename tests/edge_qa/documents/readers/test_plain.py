"""Plain text and Markdown: offsets are those of the file, headings are found."""

import pytest

from edge_qa.documents.readers.plain import read_markdown, read_text


def blocks(extracted) -> list[tuple[str, int]]:
    return [(extracted.text[one.start : one.end], one.level) for one in extracted.blocks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n\nc", ["a\nb", "c"]),
        ("\n\n a \r\n\r\nb\n \t\n\n\nc\n", ["a", "b", "c"]),
        ("page one\fpage two", ["page one", "page two"]),
        ("", []),
    ],
)
def test_paragraphs(text, expected):
    extracted = read_text(text)
    assert extracted.text == text
    assert [one for one, _ in blocks(extracted)] == expected


def test_markdown_headings():
    text = "intro\n# One #\ntext\n\n## Two\n- item\n\nThree\n-----\nlast\n"
    extracted = read_markdown(text)
    assert extracted.text == text
    assert blocks(extracted) == [
        ("intro", 0),
        ("# One #", 1),
        ("text", 0),
        ("## Two", 2),
        ("- item", 0),
        ("Three\n-----", 2),
        ("last", 0),
    ]
    assert extracted.title == "One"


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("```\n# a comment\n```\n# Real", ["# Real"]),
        ("~~~\n```\n# a comment\n~~~\n# Real", ["# Real"]),
        ("#hashtag", []),
        ("####### seven", []),
        ("two lines\nof text\n---\n", []),
        ("\n---\n", []),
        ("| a | b |\n|---|---|\n", []),
        ("A title\n===\n", ["A title\n==="]),
    ],
)
def test_what_is_a_heading_and_what_is_not(text, headings):
    assert [one for one, level in blocks(read_markdown(text)) if level] == headings


def test_a_long_line_of_hashes_takes_no_time():
    assert blocks(read_markdown("# " + "# " * 20_000 + "x"))


def test_a_heading_with_many_spaces_is_read_in_time():
    extracted = read_markdown("# a" + " " * 20_000 + "b\n\n#   \n## c ##\n####### d\n#e\n")
    assert extracted.title.startswith("a")
    assert [block.level for block in extracted.blocks] == [1, 1, 2, 0]
