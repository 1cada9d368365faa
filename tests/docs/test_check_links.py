"""Links of built pages, by hand."""

from pathlib import Path

from docs.generate.check_links import wrong_links


def test_links_by_hand(tmp_path: Path) -> None:
    (tmp_path / "guide").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1><a href="#top">1</a><a href="#gone">2</a><a href="guide/a.html#b">3</a>'
        '<a href="guide/none.html">4</a><a href="https://example.org/x">5</a><a href="https://x">6</a>'
    )
    (tmp_path / "guide" / "a.html").write_text('<h1 id="b">B</h1><a href="../index.html#top">1</a><img src="no.png">')
    assert wrong_links(tmp_path) == [
        "guide/a.html: no.png: leads to no file",
        "index.html: #gone: leads to no anchor",
        "index.html: guide/none.html: leads to no file",
        "index.html: https://x: no address",
    ]
