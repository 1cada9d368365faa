"""The checkpoint of BERT-base's size that benchmarks draw: complete, wherever the benchmark lies."""

import filecmp

from benchmarks.experiments import block_sparse
from converters.conversion import convert


def test_the_drawn_checkpoint_is_converted(tmp_path, checkpoint):
    block_sparse.write_checkpoint(tmp_path / "drawn", layers=1)
    assert filecmp.cmp(tmp_path / "drawn" / "vocab.txt", checkpoint / "vocab.txt", shallow=False)
    assert convert(tmp_path / "drawn", tmp_path / "bundle").manifest.model.layers == 1
