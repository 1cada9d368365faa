"""A file of a checkpoint that is what Git LFS leaves in its place: named, whichever it is."""

import shutil

import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from edge_qa.errors import CheckpointError
from tests.support.checkpoints import write_checkpoint
from tests.support.places import GOLDEN_FILES

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
FAMILIES = GOLDEN_FILES / "families"


def refused(folder, name):
    (folder / name).write_text(POINTER)
    with pytest.raises(CheckpointError, match=f"{name}: a pointer of Git LFS, not the file itself; run git lfs pull"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "tokenizer.json"]
)
def test_a_file_of_bert(tmp_path, name):
    refused(write_checkpoint(tmp_path / "bert"), name)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors.index.json"])
def test_other_files_of_weights(tmp_path, name):
    folder = write_checkpoint(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    refused(folder, name)


@pytest.mark.parametrize(
    ("family", "name"),
    [("roberta", "vocab.json"), ("roberta", "merges.txt"), ("xlm-roberta", "sentencepiece.bpe.model")],
)
def test_vocabularies(tmp_path, family, name):
    folder = tmp_path / family
    shutil.copytree(FAMILIES / family, folder)
    refused(folder, name)


def test_a_file_that_is_not_read_may_be_one(tmp_path):
    folder = write_checkpoint(tmp_path / "bert")
    for name in ("tf_model.h5", "pytorch_model.bin"):
        (folder / name).write_text(POINTER)
    assert read_checkpoint(folder).tensors
