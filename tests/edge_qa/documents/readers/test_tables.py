"""Tables and records."""

import json

import pytest

from edge_qa.documents.readers.tables import read_csv, read_json_lines, read_tsv
from edge_qa.errors import InputError


def blocks(extracted) -> list[str]:
    return [extracted.text[one.start : one.end] for one in extracted.blocks]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_rows_are_blocks_of_the_file_as_it_is(mark):
    text = f'name{mark}price\r\n"Tea{mark} black"{mark}2\r\n\r\n"two\nlines"{mark}3'
    extracted = read_csv(text)
    assert extracted.text == text
    assert blocks(extracted) == [f"name{mark}price", f'"Tea{mark} black"{mark}2', f'"two\nlines"{mark}3']
    assert extracted.header == "name | price"


def test_tabs():
    assert read_tsv("a, b\tc\n1\t2").header == "a, b | c"


@pytest.mark.parametrize("text", ['a,b\n"open,1\n2,3', "x" * 200_000, ""])
def test_what_is_no_table_is_text(text):
    assert "\n".join(blocks(read_csv(text))).split() == text.split()


def test_records():
    lines = [{"title": "Tea", "text": "Hot water."}, {"price": 2, "tags": ["a", {"b": True}], "no": None}, "plain", []]
    extracted = read_json_lines("\n\n".join(json.dumps(line) for line in lines))
    assert blocks(extracted) == ["Tea", "text: Hot water.", "price: 2\ntags: a\ntags.b: true", "plain"]
    assert [(one.level, one.record) for one in extracted.blocks] == [(1, True), (0, False), (0, True), (0, True)]


def test_a_long_text_stands_without_its_name():
    assert read_json_lines(json.dumps({"text": "long " * 50})).text == ("long " * 50).strip()


def test_lone_surrogates_are_replaced():
    assert read_json_lines('"a\\ud800b"').text == "a\ufffdb"


@pytest.mark.parametrize("line", ["{", "[" * 100_000, '{"a":' * 30 + "1" + "}" * 30, "NaNa"])
def test_what_is_refused(line):
    with pytest.raises(InputError):
        read_json_lines(line)
