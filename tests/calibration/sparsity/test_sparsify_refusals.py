"""Options and models that do not fit, and the command."""

from pathlib import Path

import pytest

from calibration.sparsity.sparsify import sparsify
from edge_qa.errors import CheckpointError, InputError
from edge_qa.evaluation.dataset import read_dataset
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.small_model import FAMILIES, NAMES, files_of, weights_of


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5, float("nan")])
def test_a_ratio_that_is_none_is_refused(source, tmp_path, ratio):
    with pytest.raises(InputError, match="wanted a share between 0 and 1"):
        sparsify(source, tmp_path / "small", pattern="1x4", ratio=ratio)


def test_an_unknown_pattern_is_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"got '4x1', wanted one of unstructured, 1x4, 32x32, heads, ffn"):
        sparsify(source, tmp_path / "small", pattern="4x1", ratio=0.5)


def test_a_ratio_that_removes_nothing_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="too small to remove anything"):
        sparsify(source, tmp_path / "small", pattern="heads", ratio=0.01)


def test_an_existing_folder_is_kept(source, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine").write_text("")
    with pytest.raises(InputError, match="already exists"):
        sparsify(source, tmp_path / "small", pattern="1x4", ratio=0.5)
    assert list(files_of(tmp_path / "small")) == ["mine"]
    half, more = (
        files_of(sparsify(source, tmp_path / "other", pattern="1x4", ratio=ratio, force=True).path)
        for ratio in (0.5, 0.6)
    )
    assert half.keys() == more.keys()
    assert half["model.safetensors"] != more["model.safetensors"]


def test_a_family_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="family 'albert' can be read, but not written back"):
        sparsify(FAMILIES / "albert", tmp_path / "small", pattern="1x4", ratio=0.5)
    assert not list(tmp_path.iterdir())


def odd_source(folder: Path) -> Path:
    """A hidden size of 44 = 32 + 12."""
    sizes = {"layers": 1, "hidden": 44, "heads": 4, "ffn": 64}
    return write_checkpoint(folder, tensors=bert_tensors(**sizes), config=bert_config(**sizes))


def test_what_makes_no_whole_block_stays_dense(tmp_path, command):
    source = odd_source(tmp_path / "source")
    result = sparsify(source, tmp_path / "small", pattern="32x32", ratio=0.5)
    assert [tensor.outside for tensor in result.tensors] == [(12, 12)] * 4 + [(0, 12), (12, 0)]
    query = weights_of(result.path)[NAMES[0]]
    assert not query[:32, :32].any()  # 0.5 of 44 x 44 is 0.95 blocks: the only one
    assert query[32:].all()
    assert query[:, 32:].all()
    out = command("sparsify", source, tmp_path / "again", "--pattern", "32x32", "--ratio", "0.5").out
    assert "encoder.layer.0.attention.query, say, is 44x44, its last 12 outputs and 12 inputs lie in no block" in out
    with pytest.raises(InputError, match=r"ratio 0\.9: encoder\.layer\.0\.attention\.query .* is 44x44.*52\.9%"):
        sparsify(source, tmp_path / "more", pattern="32x32", ratio=0.9)


def test_a_matrix_without_a_whole_block_is_named(tmp_path):
    sizes = {"layers": 1, "hidden": 16, "heads": 2, "ffn": 64}
    source = write_checkpoint(tmp_path / "source", tensors=bert_tensors(**sizes), config=bert_config(**sizes))
    with pytest.raises(CheckpointError, match=r"attention\.query is 16x16, where no 32x32 block fits"):
        sparsify(source, tmp_path / "small", pattern="32x32", ratio=0.5)


def test_the_command_prints_a_table_and_json(source, data, tmp_path, command):
    shown = command("sparsify", source, tmp_path / "a", "--pattern", "heads", "--ratio", "0.5")
    assert shown.code == 0, shown.err
    assert "heads, 50.00% of all heads removed, by |w|" in shown.out
    assert "not trained afterwards" in shown.out
    lines = shown.out.splitlines()
    assert lines[-2].split()[:4] == ["0", "4", "->", lines[-2].split()[3]]
    options = ("--pattern", "1x4", "--ratio", "0.5", "--calibration", data, "--samples", "2")
    found = command("sparsify", source, tmp_path / "b", *options, "--json").json
    assert found["path"] == str(tmp_path / "b")
    assert found["ratio"] == 0.5
    assert found["calibration"]["dataset_sha256"] == read_dataset(data).sha256
    assert [tensor["sparsity_after"] for tensor in found["tensors"]] == [0.5] * 12
    again = command("sparsify", source, tmp_path / "b", *options)
    assert (again.code, "already exists" in again.err) == (4, True)
    assert command("sparsify", source, tmp_path / "c", "--pattern", "1x4", "--ratio", "1").code == 2
    assert command("sparsify", source, tmp_path / "c", "--pattern", "2:4", "--ratio", "0.5").code == 2
    assert command("sparsify", source, tmp_path / "c", "--pattern", "heads", "--ratio", "0.9").code == 4
    assert not (tmp_path / "c").exists()
