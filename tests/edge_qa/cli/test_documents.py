"""edge-qa index, search, ask --documents, verify-citation."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_qa.inference.native.library import this_library

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
QUESTION = "What is the monthly rent of the shop?"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "lease.txt").write_text(
        "THE LEASE\n\nIt began in May. The monthly rent of the shop is 1,980 euros. Ask Ada."
    )
    (folder / "cats.md").write_text("# Cats\n\nThe cat of the shop is called Minka. She is nine years old.\n")
    return folder


@pytest.fixture
def library(command, folder, tmp_path):
    library = tmp_path / "library.db"
    assert command("index", folder, library).code == 0
    return library


def test_index_says_what_it_did(command, folder, tmp_path):
    (folder / "bad.txt").write_bytes(b"\xff\xfe\xff")
    library = tmp_path / "library.db"
    result = command("index", folder, library)
    assert result.code == 0
    assert result.out.startswith(f"{library}: 2 files in 2 passages (2 added, 1 not read; 0.0 MB read in ")
    assert f"not read: {folder.resolve() / 'bad.txt'}: " in result.err
    again = command("index", folder, library, "--json").json
    assert (again["unchanged"], again["added"], len(again["problems"])) == (2, 0, 1)


def test_a_folder_that_is_gone_is_said_and_can_be_forgotten(command, folder, library, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "dogs.md").write_text("# Dogs\n\nThe dog of the mill is called Rex. He is two years old.\n")
    assert command("index", other, library).code == 0
    asked = command("ask", BUNDLE, QUESTION, "--documents", library)
    assert (asked.code, asked.err) == (0, "")
    folder.rename(tmp_path / "moved")
    asked = command("ask", BUNDLE, QUESTION, "--documents", library)
    assert asked.out.startswith("1,980 euros")
    assert asked.err == f"note: {folder}/lease.txt is not there any more; edge-qa index brings {library} up to date\n"
    refused = command("index", folder, library)
    assert refused.code == 4
    assert "does not exist" in refused.err
    assert "--forget" in refused.err
    assert command("index", folder, library, "--forget").out == f"{library}: 2 files forgotten\n"
    assert command("search", library, "monthly rent").out == ""
    assert "Rex" in command("search", library, "dog of the mill").out
    again = command("index", "--forget", other, folder, library)
    assert again.code == 4
    assert f"{folder}: nothing of it is in {library}" in again.err
    assert "Rex" in command("search", library, "dog of the mill").out  # nothing was taken out
    assert command("index", "--forget", "--json", other / "dogs.md", library).json["forgotten"] == 1


def test_a_file_that_changed_since_it_was_indexed_is_said(command, folder, library):
    text = (folder / "lease.txt").read_text()
    (folder / "lease.txt").write_text(text.replace("1,980", "2,100"))
    asked = command("ask", BUNDLE, QUESTION, "--documents", library)
    assert asked.out.startswith("1,980 euros")
    assert asked.err == f"note: {folder}/lease.txt has changed since; edge-qa index brings {library} up to date\n"


def test_patterns_of_the_last_run_are_said(command, folder, library, tmp_path):
    refused = command("index", folder, library, "--include", "")
    assert refused.code == 4
    assert refused.err == "error: include: got an empty pattern, wanted such as '*.md'\n"
    assert command("index", folder, library, "--include", "*.md").err == ""
    again = command("index", folder, library)
    assert "only what matches *.md was read, as in the last run" in again.err
    assert again.out.startswith(f"{library}: 1 files")
    assert command("index", folder, library, "--max-file-mib", 64).out.startswith(f"{library}: 2 files")


def test_a_link_in_a_circle_is_reported(command, folder, tmp_path):
    (folder / "loop.txt").symlink_to("loop.txt")
    result = command("index", folder, tmp_path / "library.db")
    assert result.code == 0
    assert f"not read: {folder.resolve() / 'loop.txt'}: " in result.err


def test_a_search_that_finds_nothing_says_so(command, library):
    found = command("search", library, "kite")
    assert (found.code, found.out, found.err) == (1, "", f"nothing in {library} fits these words\n")


def test_an_answer_of_none_has_nothing_to_verify(command, library, tmp_path):
    citation = tmp_path / "none.json"
    citation.write_text(json.dumps([{"text": "", "source": None}]))
    refused = command("verify-citation", library, citation)
    assert refused.code == 4
    assert "an answer of none has none" in refused.err


def test_what_is_not_utf_8_is_reported_with_the_option_that_reads_it(command, folder, tmp_path):
    (folder / "old.txt").write_bytes("The café of the shop.".encode("latin-1"))
    library = tmp_path / "library.db"
    lines = command("index", folder, library).err.splitlines()
    assert lines[1:] == ["--latin-1 takes text that is not UTF-8 for Latin-1"]
    read = command("index", folder, library, "--latin-1")
    assert (read.err, "3 files" in read.out) == ("", True)


def test_include_exclude_and_limits(command, folder, tmp_path):
    library = tmp_path / "library.db"
    assert command("index", folder, library, "--include", "*.md", "--json").json["files"] == 1
    assert command("index", folder, library, "--exclude", "*.md", "--json").json["removed"] == 1
    (folder / "big.txt").write_text("x " * 2**20)
    assert "big.txt" in command("index", folder, library, "--max-file-mib", 1).err


def test_search(command, library):
    result = command("search", library, "a cat")
    assert result.code == 0
    assert "cats.md  characters 0-" in result.out
    (passage,) = command("search", library, "cat", "--json").json
    assert passage["heading"] == "Cats"
    assert len(passage["sha256"]) == 64
    nothing = command("search", library, "xylophone", "--json")
    assert (nothing.code, nothing.json) == (1, [])


def test_ask_and_verify(command, library, folder, tmp_path):
    result = command("ask", BUNDLE, QUESTION, "--documents", library)
    assert result.code == 0
    assert result.out.startswith("1,980 euros  ")
    assert f"{folder.resolve() / 'lease.txt'}  characters " in result.out
    assert result.out.rstrip().endswith(": The monthly rent of the shop is 1,980 euros.")
    printed = command("ask", BUNDLE, QUESTION, "Xylophone quarks?", "--documents", library, "--top-k", 2, "--json").out
    answers = json.loads(printed)
    assert answers[0]["answers"][0]["source"]["sentence"] == "The monthly rent of the shop is 1,980 euros."
    assert answers[1]["answers"][0] | {"score": 0.0} == {
        "text": "",
        "score": 0.0,
        "start": 0,
        "end": 0,
        "source": None,
        "rank": None,
        "partial": False,
        "question_truncated": False,
        "confidence": None,
    }
    citation = tmp_path / "citation.json"
    citation.write_text(json.dumps(answers[0]["answers"][0]))
    check = command("verify-citation", library, citation)
    assert (check.code, check.out.split()[0]) == (0, "holds")
    (folder / "lease.txt").write_text("New. The monthly rent of the shop is 1,980 euros.")
    check = command("verify-citation", library, citation, "--json")
    assert (check.code, check.json[0]["verdict"], check.json[0]["start"]) == (0, "moved", 37)
    (folder / "lease.txt").write_text("Nothing.")
    check = command("verify-citation", library, citation)
    assert (check.code, check.out.split()[0]) == (1, "gone")


@pytest.mark.parametrize("content", ["", "{", "[]", "[3]", '{"text": "a"}', '{"answers": [{"source": null}]}'])
def test_what_is_no_citation(command, library, tmp_path, content):
    citation = tmp_path / "citation.json"
    citation.write_text(content)
    result = command("verify-citation", library, citation)
    assert result.code == 4
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--documents", "LIBRARY", "--text", "a"],
        ["--documents", "LIBRARY", "--shortlist", "3"],
        ["--passages", "3", "--text", "a"],
    ],
)
def test_options_that_do_not_go_together(command, library, arguments):
    given = [str(library) if argument == "LIBRARY" else argument for argument in arguments]
    assert command("ask", BUNDLE, QUESTION, *given).code == 2


@pytest.mark.skipif(
    this_library() is None or this_library().best_path() is None,
    reason="edge-qa-kernels is not installed, or this CPU cannot run it",
)
def test_the_native_engine_answers_from_documents(command, library):
    answers = {
        engine: command("ask", BUNDLE, QUESTION, "--documents", library, "--engine", engine, "--json").json
        for engine in ("openvino", "native")
    }
    found = {engine: answer["answers"][0] for engine, (answer,) in answers.items()}
    assert found["native"]["text"] == "1,980 euros"
    assert found["native"]["source"] == found["openvino"]["source"]
    # Both compute in 8 bits, and not alike to the last bit.
    assert found["native"]["rank"] == pytest.approx(found["openvino"]["rank"], abs=1.0)
    assert found["native"]["rank"] != found["openvino"]["rank"]


def test_mcp_without_its_extra_is_one_line(library, tmp_path):
    # An interpreter that finds the project and its core packages, and no SDK.
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')")
    run = [sys.executable, "-m", "edge_qa", "mcp", str(library), "--bundle", str(BUNDLE)]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(run, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: mcp is not installed; pip install 'edge-qa[mcp]' brings it\n"


def test_mcp_finds_a_wrong_name_before_it_loads_a_model(command, tmp_path):
    pytest.importorskip("mcp", reason="the extra mcp is not installed")
    result = command("mcp", tmp_path / "none.db", "--bundle", BUNDLE)
    assert (result.code, result.out) == (4, "")
    assert "does not exist" in result.err


def test_what_is_no_index(command, folder, tmp_path):
    other = tmp_path / "other.db"
    for result in (
        command("ask", BUNDLE, QUESTION, "--documents", other),
        command("search", other, "a"),
        command("index", tmp_path / "nowhere", other),
    ):
        assert result.code == 4
        assert "does not exist" in result.err
    other.write_text("something else")
    assert command("index", folder, other).code == 4
    assert other.read_text() == "something else"


def test_an_interrupted_run_goes_on(folder, library):
    for number in range(300):
        (folder / f"{number}.txt").write_text(f"Number {number}. " + "word " * 3000)
    run = [sys.executable, "-m", "edge_qa", "index", str(folder), str(library)]
    process = subprocess.Popen(run, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not library.with_name(f"{library.name}-wal").exists() and process.poll() is None:
        pass
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode in (130, 0)
    if process.returncode:
        assert f"interrupted; {library} holds what was read until then" in error
    done = subprocess.run([*run, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["files"] == 302
