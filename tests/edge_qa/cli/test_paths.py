"""Nothing that is read is overwritten by what is written, and a place that cannot be written is found out first."""

import os
import shutil

import numpy as np
import pytest

from edge_qa.errors import InputError, ResourceError
from edge_qa.files import check_destination, check_file
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.tiny import tiny_bundle


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def sources(tmp_path, questions):
    bundle = shutil.copytree(tiny_bundle(tmp_path), tmp_path / "bundle")
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tensors=bert_tensors(), config=bert_config())
    return bundle, checkpoint


def test_sparsify_does_not_replace_what_it_reads(command, sources):
    _, checkpoint = sources
    before = bytes_of(checkpoint)
    result = command("sparsify", checkpoint, checkpoint, "--pattern", "1x4", "--ratio", 0.5, "--force")
    assert (result.code, bytes_of(checkpoint) == before) == (4, True)
    assert "is, or holds, what is read" in result.err


def test_pages_and_predictions_do_not_land_in_a_bundle(command, sources, questions):
    bundle, checkpoint = sources
    before = bytes_of(bundle), bytes_of(checkpoint)
    weights, out = bundle / "model.bin", bundle.parent / "out"
    data = ("--calibration", questions, "--evaluation", questions)
    calls = [
        ("quantize", bundle, out, "--calibration", questions, "--html", weights, "--force"),
        ("search-lengths", bundle, out, *data, "--max-drop", 1, "--html", weights, "--force"),
        ("search-lengths", bundle, out, *data, "--max-drop", 1, "--state", bundle / "state.json"),
        ("inspect", bundle, "--html", weights, "--force"),
        ("inspect", checkpoint, "--html", checkpoint / "model.safetensors", "--force"),
        ("evaluate", bundle, "--data", questions, "--predictions", weights, "--force"),
        ("bench", bundle, "--html", weights, "--force"),
        ("batch", bundle, questions, "--output", weights, "--force"),
    ]
    for call in calls:
        result = command(*call)
        assert result.code == 4, call
        assert "what is read" in result.err, call
    assert (bytes_of(bundle), bytes_of(checkpoint)) == before
    assert not out.exists()


@pytest.mark.parametrize(("page", "code"), [("out", 4), ("out/page.html", 4), ("no/such/page.html", 4)])
def test_a_page_that_cannot_be_written_is_found_out_first(command, sources, questions, page, code):
    bundle, _ = sources
    out = bundle.parent / "out"
    result = command("quantize", bundle, out, "--calibration", questions, "--html", bundle.parent / page)
    assert result.code == code
    assert not out.exists()


def test_a_folder_that_takes_no_files(tmp_path):
    with pytest.raises((ResourceError, InputError)):
        check_file(type(tmp_path)("/proc/page.html"), force=False)


def test_a_parent_that_takes_no_folder_is_no_internal_error(command, sources, questions):
    bundle, _ = sources
    assert command("quantize", bundle, "/proc/x", "--calibration", questions, "--samples", 2).code == 6


def test_a_pipe_in_the_cache_is_passed_over(command, sources, tmp_path):
    bundle, _ = sources
    cache = tmp_path / "cache"
    cache.mkdir()
    ask = ("ask", bundle, "who ?", "--text", "ada flew at noon", "--cache", cache)
    first = command(*ask)
    (entry,) = cache.iterdir()
    entry.unlink()
    os.mkfifo(entry)
    assert command(*ask).out == first.out
    with entry.open("r+b") as file:
        file.truncate(np.iinfo(np.int32).max * 4)
    assert command(*ask).out == first.out


def test_an_empty_cache_is_no_folder(command, sources):
    bundle, _ = sources
    result = command("ask", bundle, "who ?", "--text", "ada flew", "--cache", "")
    assert (result.code, "empty name" in result.err) == (6, True)


def test_numbers_without_a_value_are_wrong_usage(command, sources, questions):
    bundle, checkpoint = sources
    out = bundle.parent / "out"
    calls = [
        ("shrink", checkpoint, out, "--calibration", questions, "--speedup", "nan"),
        ("shrink", checkpoint, out, "--calibration", questions, "--speedup", "inf"),
        ("sparsify", checkpoint, out, "--pattern", "1x4", "--ratio", "nan"),
        ("quantize", bundle, out, "--calibration", questions, "--evaluation", questions, "--max-drop", "nan"),
    ]
    assert [command(*call).code for call in calls] == [2] * len(calls)


def test_shrink_names_evaluation_data_without_answers_at_once(command, sources, questions, tmp_path):
    _, checkpoint = sources
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"question": "who flew ?", "context": "ada flew"}\n')
    data = ("--calibration", questions, "--evaluation", bare, "--max-drop", 1, "--method", "magnitude")
    result = command("shrink", checkpoint, tmp_path / "out", *data)
    assert (result.code, "bare.jsonl: question" in result.err) == (4, True)


def test_nothing_is_written_into_what_is_read(command, sources, questions, tmp_path):
    bundle, checkpoint = sources
    before = bytes_of(bundle), bytes_of(checkpoint)
    (tmp_path / "link").symlink_to(bundle)
    data = ("--calibration", questions, "--evaluation", questions, "--max-drop", 1)
    calls = [
        ("convert", checkpoint, checkpoint / "out"),
        ("quantize", bundle, bundle / "out", "--calibration", questions),
        ("quantize", bundle, tmp_path / "link" / "out", "--calibration", questions),
        ("search-lengths", bundle, bundle / "out", *data),
        ("shrink", checkpoint, checkpoint / "out", *data),
        ("sparsify", checkpoint, checkpoint / "deep" / "out", "--pattern", "1x4", "--ratio", 0.5),
    ]
    for call in calls:
        result = command(*call)
        assert result.code == 4, call
        assert result.err == f"error: {call[2]}: is inside what is read ({call[1]}); give another place\n"
    assert (bytes_of(bundle), bytes_of(checkpoint)) == before
    check_destination(questions.parent / "out", force=False, sources=[questions])  # beside a file
