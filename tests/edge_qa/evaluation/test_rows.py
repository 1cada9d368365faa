"""The questions of a stream: the same as of the data set, line by line, and never more than it has to wait for."""

import gzip
import io

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.rows import Row, is_lines, stream_rows
from tests.support.layouts import LAYOUTS, write


def rows(content: bytes, name: str = "data.json") -> list[Row]:
    return list(stream_rows(io.BytesIO(content), name))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: b"\xef\xbb\xbf" + content])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_stream_and_a_data_set_agree(tmp_path, layout, pack):
    path = write(tmp_path, LAYOUTS[layout])
    path.write_bytes(pack(path.read_bytes()))
    wanted = [(one.id, one.question, one.context) for one in read_dataset(path)]
    with path.open("rb") as file:
        found = list(stream_rows(file, str(path)))
    assert [(str(row.id), row.question, row.context) for row in found] == wanted
    assert not any(row.error for row in found)


def test_plain_text_and_a_data_set_agree(tmp_path):
    path = write(tmp_path, "\ufeffIt leaves at 9:30.\nQ: When?\n\nIt costs 12 euros.\nQ: How much?\n", "data.txt")
    wanted = [(one.id, one.question, one.context) for one in read_dataset(path)]
    with path.open("rb") as file:
        assert [(str(row.id), row.question, row.context) for row in stream_rows(file, str(path))] == wanted


def test_an_id_stays_what_it_was():
    content = b'{"id": 7, "question": "?", "context": "x"}\n\n{"question": "?", "context": "x"}\n'
    assert [row.id for row in rows(content)] == [7, 3]


def test_a_line_comes_out_before_the_next_comes_in():
    asked = []

    class Slow(io.RawIOBase):
        lines = iter([b'{"question": "?", "context": "x"}\n'] * 2)

        def readable(self):
            return True

        def readinto(self, buffer):
            line = next(self.lines, b"")
            asked.append(len(line))
            buffer[: len(line)] = line
            return len(line)

    found = stream_rows(io.BufferedReader(Slow()), "standard input")
    assert next(found).id == 1
    assert len(asked) == 1
    assert [row.id for row in found] == [2]


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (b'[\n{"question": "?", "context": "x"}\n', ["line 1: not JSON", ""]),  # an array that is cut off
        (b'{"question": "?"\n{"question": "?", "context": "x"}\n', ["line 1: not JSON", ""]),
        (b'\xff\n{"question": "?", "context": "x"}\n', ["line 1: not JSON", ""]),
        (b'[{"question": "?", "context": "x"}, 5]', ["", "[1]: got a number, wanted an object with 'question'"]),
        (b'{"context": "x", "qas": [{"id": "a", "question": "?"}, {"id": "b"}]}', ["", "line 1.qas[1]: no 'question'"]),
        (b'{"header": {}}\n', ["line 1: is the layout of MRQA"]),
    ],
)
def test_what_cannot_be_used_does_not_stop_the_rest(content, errors):
    found = rows(content)
    assert len(found) == len(errors)
    for row, error in zip(found, errors, strict=True):
        assert row.error.startswith(error)
        assert bool(row.error) == bool(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7\n", "data.json: is PDF"),
        (gzip.compress(b"PAR1", mtime=0), "data.json: is Parquet"),
        (gzip.compress(b'{"question": "?", "context": "x"}\n' * 99, mtime=0)[:-9], "data.json: damaged gzip"),
        (b'{"data": [{"raw_html": ""}]}', "is KorQuAD 2"),
    ],
)
def test_a_file_that_is_of_no_use_is_refused_once(content, message):
    with pytest.raises(InputError, match=message):
        rows(content)


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        (b'{"question": "?"', True),
        (b"", True),
        (b"notes\n[", True),
        (b"[\n", False),
        (b'\xef\xbb\xbf [{"question"', False),
        (b"{\n", False),
        (b'{"version": "1.1", "data": [', False),
        (b'{"dataset": "x", "question"', True),
        (b"\x1f\x8b\x08", False),
    ],
)
def test_lines_are_told_from_one_value(start, lines):
    assert is_lines(start) == lines
