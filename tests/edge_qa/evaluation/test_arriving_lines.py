"""Lines of a pipe, and whether the next one can be had at once."""

import os

from edge_qa.evaluation.arriving_lines import ArrivingLines


def test_a_line_is_at_hand_once_it_is_whole_or_the_pipe_ends():
    source, sink = os.pipe()
    lines = ArrivingLines(source)
    assert not lines.at_hand()
    os.write(sink, b"one\ntwo\nthr")
    assert lines.at_hand()
    assert next(lines) == b"one\n"
    assert lines.at_hand()  # read with the first one
    assert next(lines) == b"two\n"
    assert not lines.at_hand()  # half a line is none
    os.write(sink, b"ee\n")
    assert lines.at_hand()
    assert next(lines) == b"three\n"
    os.close(sink)
    assert lines.at_hand()
    assert list(lines) == []
    os.close(source)


def test_a_file_is_always_at_hand(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"one\n" * 3)
    with path.open("rb") as file:
        lines = ArrivingLines(file.fileno())
        assert lines.peek(2).startswith(b"one\n")
        seen = []
        while lines.at_hand() and (line := next(lines, None)):
            seen.append(line)
    assert seen == [b"one\n"] * 3
