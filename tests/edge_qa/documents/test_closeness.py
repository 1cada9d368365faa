"""What a passage and a question have in common, worked out by hand."""

import math

import pytest

from edge_qa import DocumentIndex

TEXTS = {
    # One sentence has all words, and "river bridge" stands as in the question.
    "near.txt": "The old town is small. The river bridge in Lindenau was built in 1884 by Ada Quell.",
    # The same words, scattered.
    "far.txt": "A bridge. It was built. The river is long. Lindenau lies there. In 1884 it rained.",
    "other.txt": "Cats sleep on the river all day.",
}
QUESTION = "Who built the river bridge in Lindenau in 1884?"


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return DocumentIndex.build([folder], tmp_path / "library.db")


def rarity(holding: int, passages: int = 3) -> float:
    return math.log1p((passages - holding + 0.5) / (holding + 0.5))


def test_the_parts_are_as_worked_out_by_hand(index):
    near, far, other = index.search(QUESTION)
    assert [one.file.title for one in (near, far, other)] == ["near", "far", "other"]
    # "built", "bridge", "Lindenau" and "1884" stand in two passages, "river" in all three.
    everything = 4 * rarity(2) + rarity(3)
    assert near.closeness.covered == pytest.approx(everything)
    assert near.closeness.sentence == pytest.approx(everything)
    assert near.closeness.names == pytest.approx(2 * rarity(2))
    # river bridge; bridge Lindenau and Lindenau 1884, since "in" says nothing.
    assert near.closeness.pairs == pytest.approx((rarity(3) + rarity(2)) / 2 + rarity(2))
    assert near.closeness.missing == 0
    assert far.closeness.covered == pytest.approx(everything)
    assert far.closeness.sentence == pytest.approx(rarity(2))
    assert far.closeness.pairs == 0
    assert other.closeness.covered == pytest.approx(rarity(3))
    assert other.closeness.missing == pytest.approx(4 * rarity(2))
    assert near.closeness.score > far.closeness.score > other.closeness.score > 0


def test_words_are_stemmed_as_the_index_stems_them(index):
    best = index.search("the bridges that they are building")[0]
    assert best.closeness.covered == pytest.approx(rarity(2))  # "bridges" is found, "building" is not "built"
    assert best.closeness.missing == pytest.approx(rarity(0))


def test_words_of_the_headings_count(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Lindenau\n\nThe bridge was built early.\n")
    (folder / "b.md").write_text("# Quarz\n\nThe bridge was built early.\n")
    with DocumentIndex.build([folder], tmp_path / "library.db") as index:
        first, second = index.search("When was the bridge of Lindenau built?")
    assert (first.heading, second.heading) == ("Lindenau", "Quarz")
    assert first.closeness.missing == 0 < second.closeness.missing


@pytest.mark.parametrize("text", ["\ufdd0 bridge \ufdd1\ufdd1", "naïve Bridge's ﬁne x²", "bridge\ufdd0"])
def test_odd_characters_do_no_harm(tmp_path, text):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text(text)
    with DocumentIndex.build([folder], tmp_path / "library.db") as index:
        for words in ("bridge", "x² naïve ﬁne", "\ufdd0bridge\ufdd1"):
            for passage in index.search(words):
                assert passage.text == text.strip()
                assert math.isfinite(passage.closeness.score)


def test_text_without_spaces_is_sorted_by_bm25(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("東京の天気は晴れです。")
    (folder / "b.txt").write_text("東京の人口は多い。大阪も多い。")
    with DocumentIndex.build([folder], tmp_path / "library.db") as index:
        found = index.search("東京の天気")
    assert [one.file.title for one in found] == ["a", "b"]
    assert found[0].closeness.bm25 > found[1].closeness.bm25 > 0
