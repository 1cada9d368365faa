"""Passages: their size, borders, overlap and headings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_qa.documents.passages import LEAST_WORDS, MOST_WORDS, OVERLAP_WORDS, count_words, cut
from edge_qa.documents.readers.extracted import Block, Extracted
from edge_qa.documents.readers.kinds import kind_of, read
from edge_qa.documents.readers.plain import read_markdown, read_text
from edge_qa.text.blocks import block_starts

DOCUMENTS = Path(__file__).resolve().parents[3] / "examples" / "data" / "documents" / "texts"


def words(count: int, name: str = "w") -> str:
    return " ".join(f"{name}{number}" for number in range(count))


def texts(extracted: Extracted) -> list[str]:
    return [extracted.text[one.start : one.end] for one in cut(extracted)]


def test_a_short_text_is_one_passage():
    assert texts(read_text("  One.\n\nTwo.\n")) == ["One.\n\nTwo."]


def test_headings_alone_are_cut_like_anything_else():
    found = texts(read_markdown("# Heading number\n" * 2000))
    assert max(map(count_words, found)) <= MOST_WORDS
    assert min(map(count_words, found[:-1])) >= LEAST_WORDS


def test_a_text_without_words_has_no_passage():
    assert texts(read_text(" \n\n ")) == []


def test_passages_end_at_blank_lines_and_repeat_the_last_block_if_it_is_short():
    blocks = [words(90, "a"), words(70, "b"), words(30, "c"), words(90, "d"), words(90, "e")]
    assert texts(read_text("\n\n".join(blocks))) == [
        "\n\n".join(blocks[:3]),
        "\n\n".join(blocks[2:4]),
        "\n\n".join(blocks[4:]),
    ]


def test_a_long_paragraph_is_cut_between_sentences():
    sentences = [f"{words(29, chr(65 + number))} end." for number in range(10)]
    found = texts(read_text(" ".join(sentences)))
    assert found[0] == " ".join(sentences[:6])
    assert found[1] == " ".join(sentences[5:10])  # 30 words of overlap


def test_a_long_list_is_cut_between_its_items():
    items = [f"- {words(27, chr(65 + number))}\n  and a second line" for number in range(12)]
    found = texts(read_text("\n".join(items)))
    assert found == ["\n".join(items[:6]), "\n".join(items[5:11]), "\n".join(items[10:])]


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*/*")), ids=lambda path: path.name)
def test_passages_of_the_documents_begin_and_end_where_a_reader_sees_a_border(path):
    kind = kind_of(path)
    assert kind is not None
    extracted = read(path.read_bytes(), kind)
    text = extracted.text
    borders = {0, len(text), *block_starts(text).tolist()}
    for one in cut(extracted):
        # The white space between two blocks belongs to neither.
        assert borders & set(range(len(text[: one.start].rstrip()), one.start + 1))
        assert borders & set(range(one.end, len(text) - len(text[one.end :].lstrip()) + 1))


@pytest.mark.parametrize("text", [words(1000), "\n".join(["one line of a log"] * 300), "x" * 50_000, "文" * 5000])
def test_what_has_no_sentences_is_cut_all_the_same(text):
    found = texts(read_text(text))
    assert len(found) > 4
    assert max(map(count_words, found)) <= MOST_WORDS
    assert max(map(len, found)) <= MOST_WORDS * 12


def test_a_heading_goes_with_what_follows_it_and_stands_over_it():
    text = f"# Top\n\n{words(80, 'a')}\n\n## Inner\n\n{words(150, 'b')}\n\n# Other\n\n{words(20, 'c')}\n"
    found = list(cut(read_markdown(text)))
    assert [text[one.start : one.end].split()[:2] for one in found] == [["#", "Top"], ["##", "Inner"], ["#", "Other"]]
    assert [one.heading for one in found] == ["Top", "Top / Inner", "Other"]


def test_records_share_no_passage():
    text = "one two"
    extracted = Extracted(text, (Block(0, 3, record=True), Block(4, 7, record=True)))
    assert texts(extracted) == ["one", "two"]


def test_the_header_of_a_table_stands_over_all_rows():
    text = "a,b\n1,2"
    assert [one.heading for one in cut(Extracted(text, (Block(0, 3), Block(4, 7)), header="a | b"))] == ["a | b"]


@given(st.lists(st.text("ab.\n # 文", max_size=400), max_size=8).map("\n\n".join))
def test_every_word_is_in_a_passage_and_passages_are_in_order(text):
    for extracted in (read_text(text), read_markdown(text)):
        covered, before = set(), -1
        for one in cut(extracted):
            assert 0 <= one.start < one.end <= len(text)
            assert one.start > before
            assert not text[one.start].isspace()
            assert not text[one.end - 1].isspace()
            covered |= set(range(one.start, one.end))
            before = one.start
        assert covered >= {place for place, letter in enumerate(text) if not letter.isspace()}


def test_the_sizes_are_those_that_the_documentation_gives():
    assert (LEAST_WORDS, MOST_WORDS, OVERLAP_WORDS) == (100, 200, 40)


def test_two_characters_without_spaces_count_as_a_word():
    assert count_words("two words") == 2
    assert count_words("東京の天気") == 1 + 2
