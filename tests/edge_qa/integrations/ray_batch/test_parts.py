"""The input in parts."""

import json

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.rows import Row
from edge_qa.integrations.ray_batch.parts import Part, count_rows, input_files, read_parts


def line(number: int) -> str:
    return json.dumps({"id": f"q{number}", "question": f"Who {number}?", "context": "Ada."}) + "\n"


def test_parts_keep_to_their_files_and_count_their_rows(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.jsonl").write_text("".join(map(line, range(5))))
    (tmp_path / "deep" / "a.jsonl").write_text("not json\n\n" + '{"question": "When?", "context": "1900."}\n')
    for ignored in ("_SUCCESS", ".hidden.jsonl", "notes.txt"):
        (tmp_path / ignored).write_text(line(9))
    files = input_files(tmp_path)
    assert [path.name for path in files] == ["b.jsonl", "a.jsonl"]
    parts = list(read_parts(tmp_path, files, 2))
    assert [(part.number, part.source, part.first, len(part.rows)) for part in parts] == [
        (0, "b.jsonl", 1, 2),
        (1, "b.jsonl", 3, 2),
        (2, "b.jsonl", 5, 1),
        (3, "deep/a.jsonl", 1, 2),
    ]
    assert parts[0].rows[1] == Row("q1", "Who 1?", "Ada.")
    bad, good = parts[3].rows
    assert (bad.id, good) == (1, Row(3, "When?", "1900."))
    assert "not JSON" in bad.error
    assert count_rows(files) == 7


def test_the_hash_tells_rows_apart():
    rows = (Row("a", "Who?", "Ada."), Row("b", "When?", "\ud800"))
    assert Part(0, "x", 1, rows).sha256() == Part(3, "y", 7, rows).sha256()
    for other in (rows[:1], (rows[1], rows[0]), (rows[0], Row("b", "When?", "")), (rows[0], Row(2, "When?", "\ud800"))):
        assert Part(0, "x", 1, other).sha256() != Part(0, "x", 1, rows).sha256()


def test_a_file_that_is_named_may_be_of_any_layout(tmp_path):
    (tmp_path / "x.data").write_text(json.dumps([{"question": "Who?", "context": "Ada."}]))
    (part,) = read_parts(tmp_path / "x.data", input_files(tmp_path / "x.data"), 10)
    assert (part.source, part.rows[0].question) == ("x.data", "Who?")
    assert count_rows([tmp_path / "x.data"]) == 0


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"holds no questions, wanted files that end with .parquet"):
        input_files(tmp_path)
    with pytest.raises(InputError, match="is no file and no folder"):
        input_files(tmp_path / "none")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra ray is not installed")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "other": [1.5, 2.5, 3.5, 4.5],
            "id": ["a", None, "c", "d"],
            "question": ["Who?", "When?", None, "Where?"],
            "context": ["Ada.", "1900.", "x", "\U0001f600 London."],
        }
    )
    parquet.write_table(table, tmp_path / "q.parquet")
    files = input_files(tmp_path)
    (part,) = read_parts(tmp_path, files, 10)
    assert part.rows[0] == Row("a", "Who?", "Ada.")
    assert part.rows[1] == Row(2, "When?", "1900.")
    assert (part.rows[2].id, part.rows[2].question) == ("c", "")
    assert "question" in part.rows[2].error
    assert part.rows[3].context == "\U0001f600 London."
    assert count_rows(files) == 4
    parquet.write_table(pyarrow.table({"question": ["Who?"]}), tmp_path / "r.parquet")
    with pytest.raises(InputError, match="has no column context"):
        list(read_parts(tmp_path, [tmp_path / "r.parquet"], 1))
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(read_parts(tmp_path, [tmp_path / "s.parquet"], 1))
