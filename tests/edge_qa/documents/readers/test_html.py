"""HTML -> text."""

import time

import pytest

from edge_qa.documents.readers.html import read_html


def blocks(page: str) -> list[tuple[str, int]]:
    extracted = read_html(page)
    return [(extracted.text[one.start : one.end], one.level) for one in extracted.blocks]


def test_a_page():
    page = """<!DOCTYPE html><html><head><title>The
    title</title><style>p { color: red }</style><script>var a = "<p>no</p>";</script></head>
    <body><h1>Top <em>one</em></h1><p>First   line<br>second &amp; &#252;ber.</p>
    <ul><li>one<li>two</ul><!-- a comment --><h2>Inner</h2>text<div>more</div>
    <table><tr><th>Name</th><th>Price</th></tr><tr><td><p>Tea</p></td><td>2 €</td></tr></table>
    <pre>a  b
  c</pre></body></html>"""
    assert blocks(page) == [
        ("Top one", 1),
        ("First line\nsecond & über.", 0),
        ("one", 0),
        ("two", 0),
        ("Inner", 2),
        ("text", 0),
        ("more", 0),
        ("Name | Price", 0),
        ("Tea | 2 €", 0),
        ("a  b\n  c", 0),
    ]
    assert read_html(page).title == "The title"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<script>b", "a"),
        ("<script>a</script>b", "b"),
        ("<svg><svg>a</svg>b</svg>c", "c"),
        ("<noscript>a</noscript><template>b</template>c", "c"),
        ("a<!-- b", "a"),
        ("a < b & c &unknown; &#xD800; &#0;", "a < b & c &unknown; \ufffd \ufffd"),
        ("</p></div>a</html></body>b", "a\n\nb"),
        ("<td>a</td>", "a"),
        ("", ""),
    ],
)
def test_what_is_not_well_formed(page, text):
    assert read_html(page).text == text


@pytest.mark.parametrize(
    "part",
    ["<div>", "<!--", "<![CDATA[", "<?", "<a ", "<a href='", "</", "&#", "<", "<script>", "<td><table>", "<svg>"],
)
def test_hostile_pages_take_no_time(part):
    begin = time.process_time()
    read_html("word " + part * (200_000 // len(part)))
    assert time.process_time() - begin < 5
