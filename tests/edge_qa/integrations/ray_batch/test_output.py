"""The folder of answers: whole parts alone, resumed or refused."""

import json

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.rows import Row
from edge_qa.integrations.ray_batch.output import MANIFEST, OutputFolder
from edge_qa.integrations.ray_batch.parts import Part

ASKED = {"bundle": "abc", "top_k": 1}
PARTS = [Part(number, "in.jsonl", 2 * number + 1, (Row(f"{number}a"), Row(f"{number}b"))) for number in range(3)]


def manifest(folder):
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


@pytest.fixture
def begun(tmp_path):
    """A folder where two of three parts are whole, finished in another order, and half of a line follows."""
    folder = tmp_path / "out"
    with OutputFolder(folder, ASKED) as out:
        out.write(PARTS[2], b"c\nd\n", 1)
        out.write(PARTS[0], b"a\nb\n", 0)
    with (folder / MANIFEST).open("ab") as file:
        file.write(b'{"part": 1, "fi')
    return folder


def test_a_manifest_names_what_was_asked_for_and_every_whole_part(begun):
    lines = (begun / MANIFEST).read_bytes().splitlines()
    header, two, zero = map(json.loads, lines[:3])
    assert (zero["part"], zero["file"], zero["failed"]) == (0, "part-00000.jsonl", 0)
    assert header == {"format": 1, **ASKED}
    assert (two["part"], two["file"], two["first"], two["lines"], two["failed"]) == (2, "part-00002.jsonl", 5, 2, 1)
    assert (begun / "part-00000.jsonl").read_bytes() == b"a\nb\n"


def test_resume_does_what_is_missing_and_what_is_damaged(begun):
    (begun / "part-00002.jsonl").write_bytes(b"c\n")
    (begun / "part-00007.jsonl").write_bytes(b"left by a kill before its line was written")
    with OutputFolder(begun, ASKED, resume=True) as out:
        assert [out.holds(part) for part in PARTS] == [True, False, False]
        assert not (begun / "part-00007.jsonl").exists()
        out.write(PARTS[1], b"e\nf\n", 0)
        out.write(PARTS[2], b"c\nd\n", 1)
        out.complete(3)
    *_, last = manifest(begun)
    assert last == {"complete": True, "parts": 3, "lines": 6, "failed": 1}
    assert [entry["part"] for entry in manifest(begun)[1:-1]] == [0, 1, 2]
    with OutputFolder(begun, ASKED, resume=True) as out:
        assert all(out.holds(part) for part in PARTS)


@pytest.mark.parametrize("change", [{"bundle": "xyz"}, {"top_k": 2}, {"more": 1}])
def test_resume_is_for_what_was_asked_for(begun, change):
    before = (begun / MANIFEST).read_bytes()
    with pytest.raises(InputError, match=f"was made with {next(iter(change))} "):
        OutputFolder(begun, {**ASKED, **change}, resume=True)
    assert (begun / MANIFEST).read_bytes() == before


def test_other_input_under_the_same_number_is_refused(begun):
    with OutputFolder(begun, ASKED, resume=True) as out:
        with pytest.raises(InputError, match=r"part-00000.jsonl answers other lines than in.jsonl has from line 1 on"):
            out.holds(Part(0, "in.jsonl", 1, (Row("0a"), Row("other"))))
        with pytest.raises(InputError, match="holds 2 parts, and the input has 1"):
            out.complete(1)


def test_an_output_that_is_there_is_kept(begun):
    with pytest.raises(InputError, match="holds answers already"):
        OutputFolder(begun, ASKED)
    assert (begun / "part-00000.jsonl").exists()
    with OutputFolder(begun, ASKED, force=True) as out:
        assert out.done == {}
    assert [path.name for path in begun.iterdir()] == [MANIFEST]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for options in ({}, {"force": True}, {"resume": True}):
        with pytest.raises(InputError, match=r"holds notes.txt; give a new folder"):
            OutputFolder(tmp_path, ASKED, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    with OutputFolder(tmp_path / "out", ASKED), pytest.raises(InputError, match="another run writes here"):
        OutputFolder(tmp_path / "out", ASKED, resume=True)


def test_a_damaged_manifest_is_named(begun):
    (begun / MANIFEST).write_text("no json\n")
    with pytest.raises(InputError, match=r"manifest.jsonl: is damaged"):
        OutputFolder(begun, ASKED, resume=True)
