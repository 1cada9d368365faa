"""Single weights, which NNCF chooses."""

import sys

import numpy as np
import pytest

from calibration.sparsity.sparsify import sparsify
from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.model.matrices import matrices
from edge_qa.errors import CheckpointError
from tests.support.small_model import FAMILIES, NAMES, encoder_of, files_of, weights_of


@pytest.mark.torch
def test_nncf_prunes_the_encoder_weight_by_weight(source, tmp_path):
    pytest.importorskip("torch")
    before = weights_of(source)
    result = sparsify(source, tmp_path / "small", pattern="unstructured", ratio=0.8)
    after = weights_of(result.path)
    for name, weight in before.items():
        if name not in NAMES:
            assert weight.tobytes() == after[name].tobytes()
            continue
        # NNCF: everything up to the magnitude at place int((n - 1) * ratio) of all of them in order.
        threshold = np.sort(np.abs(weight).ravel())[int((weight.size - 1) * 0.8)]
        np.testing.assert_array_equal(after[name], np.where(np.abs(weight) > threshold, weight, 0))
    assert abs(result.ratio - 0.8) < 1e-3
    again = sparsify(source, tmp_path / "again", pattern="unstructured", ratio=0.8)
    assert files_of(again.path) == files_of(result.path)
    convert(result.path, tmp_path / "bundle")


@pytest.mark.torch
@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert"])
def test_nncf_prunes_other_families(tmp_path, family):
    pytest.importorskip("torch")
    result = sparsify(FAMILIES / family, tmp_path / "small", pattern="unstructured", ratio=0.5)
    assert all(tensor.sparsity_after == pytest.approx(0.5, abs=0.01) for tensor in result.tensors)


@pytest.mark.torch
def test_weights_that_transformers_reads_otherwise_are_refused(source):
    """As with mask scores, which this project applies and transformers leaves out."""
    pytest.importorskip("torch")
    from calibration.sparsity.unstructured import magnitude_masks

    weights = {name: weight * 2 for name, weight in matrices(encoder_of(source)) if name != "qa.logits"}
    with pytest.raises(CheckpointError, match=r"loads other weights than this project as .*query\.weight"):
        magnitude_masks(read_checkpoint(source), "bert", weights, 0.5)


def test_unstructured_without_torch_names_the_extra(source, tmp_path, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("calibration.sparsity.unstructured", "converters.torch_export.transformers_model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    shown = command("sparsify", source, tmp_path / "small", "--pattern", "unstructured", "--ratio", "0.5")
    assert shown.code == 2
    assert "pip install 'edge-qa[" in shown.err
