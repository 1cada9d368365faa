"""The passage around a place, by hand."""

import pytest

from edge_qa.text.surroundings import passage_around

SHORT = "Fees"
FIRST = "The customer pays 4,750 euros a month. " * 6
SECOND = "The supplier answers within one working day. " * 6
assert min(len(FIRST), len(SECOND)) >= 200


def around(text: str, part: str) -> str | None:
    place = text.index(part)
    found = passage_around(text, place, place + len(part))
    return None if found is None else text[slice(*found)].strip()


@pytest.mark.parametrize(
    "gap",
    [
        "\n\n",
        "\n \t\n",
        "\n\u2003\n",
        "\n\u200b\n",
        "\n\ufeff\u200f\n",
        "\n\v\n",
        "\n> >\n",
        "\n\n\n\n",
        "\r\n\r\n",
        "\r\r",
        "\r\n \r\n",
        "\f",
        "\u2029",
        "\x85\x85",
    ],
)
def test_a_passage_lies_between_blank_lines(gap):
    text = f"{FIRST}{gap}{SECOND}{gap}{FIRST}"
    assert around(text, "4,750") == FIRST.strip()
    assert around(text, "working") == SECOND.strip()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\n> "])
def test_a_line_break_ends_no_passage(end):
    text = f"{FIRST}{end}{SECOND}"
    assert around(text, "working") == text.strip()


def test_what_is_short_is_joined_with_what_stands_before_it():
    text = f"{SECOND}\n\n{SHORT}\n\nIt is 4,750 euros.\n\n{SECOND}"
    assert around(text, "4,750") == f"{SECOND}\n\n{SHORT}\n\nIt is 4,750 euros."


def test_at_the_beginning_of_a_text_with_what_comes_after_it():
    text = f"{SHORT}\n\nIt is 4,750 euros.\n\n{SECOND}\n\n{FIRST}"
    assert around(text, SHORT) == f"{SHORT}\n\nIt is 4,750 euros.\n\n{SECOND.strip()}"
    assert around("It is 4,750 euros.", "4,750") == "It is 4,750 euros."


def test_an_answer_across_a_blank_line_has_both_passages():
    text = f"{FIRST}\n\n{SECOND}\n\n{FIRST}"
    part = text[len(FIRST) - 20 : len(FIRST) + 30]
    assert around(text, part) == f"{FIRST}\n\n{SECOND}".strip()


@pytest.mark.parametrize("text", ["a word " * 4000 + "HERE", "HERE" + " a word" * 4000])
def test_a_passage_without_an_end_nearby_is_none(text):
    assert around(text, "HERE") is None


def test_it_hangs_on_the_text_nearby_alone():
    near = f"{FIRST}\n\n{SECOND}\n\n{FIRST}"
    far = "Another line of a long text.\n\n" * 3000
    assert around(far + near + "\n\n" + far, "working") == around(near, "working")
