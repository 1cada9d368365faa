"""Pruned checkpoints: what was removed, and that everything else is as it was."""

from pathlib import Path

import numpy as np
import pytest

from calibration.data.samples import draw_samples
from calibration.sparsity.input_norms import input_norms
from calibration.sparsity.sparsify import sparsify
from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.inspection.recognise import recognise
from converters.ir.storage import round_to_storage
from converters.model.matrices import matrices
from converters.verification import reference
from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.evaluation.dataset import read_dataset
from tests.support.small_model import (
    NAMES,
    encoder_of,
    files_of,
    weights_of,
)


def observed_norms(
    folder: Path, data: Path, count: int, seed: int, tmp_path: Path, monkeypatch
) -> dict[str, np.ndarray]:
    """The norms of what each matrix is multiplied with, by the numpy reference."""
    bundle = convert(folder, tmp_path / "observed", compact=None).path
    stored = round_to_storage(encoder_of(folder))
    samples = draw_samples(QuestionAnswerer.load(bundle), read_dataset(data).examples, count, seed=seed)
    squares: dict[int, np.ndarray] = {}
    plain = reference.apply_linear

    def linear(x, part):
        square = (x.astype(np.float64) ** 2).sum(axis=(0, 1))
        squares[id(part.weight)] = squares.get(id(part.weight), 0) + square
        return plain(x, part)

    monkeypatch.setattr(reference, "apply_linear", linear)
    for sample in samples:
        reference.reference_logits(stored, sample)
    monkeypatch.undo()
    return {name: np.sqrt(squares[id(weight)]) for name, weight in matrices(stored)}


@pytest.mark.parametrize(("pattern", "height", "width"), [("1x4", 4, 1), ("32x32", 32, 32)])
def test_the_blocks_of_least_magnitude_are_zero_and_nothing_else_changes(source, tmp_path, pattern, height, width):
    before = weights_of(source)
    result = sparsify(source, tmp_path / "small", pattern=pattern, ratio=0.8)
    after = weights_of(result.path)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if name not in NAMES:
            assert weight.tobytes() == after[name].tobytes()
            continue
        # Block by block, with the sums in Python.
        blocks = [
            (float(sum(abs(float(w)) for w in weight[i : i + height, j : j + width].ravel())), i, j)
            for i in range(0, weight.shape[0], height)
            for j in range(0, weight.shape[1], width)
        ]
        wanted = weight.copy()
        for _, i, j in sorted(blocks)[: int(0.8 * len(blocks) + 0.5)]:
            wanted[i : i + height, j : j + width] = 0
        np.testing.assert_array_equal(after[name], wanted)
        assert after[name].dtype == weight.dtype
    zeros = sum(int((after[name] == 0).sum()) for name in NAMES)
    assert result.ratio == zeros / sum(before[name].size for name in NAMES)
    assert abs(result.ratio - 0.8) < 0.02
    query = result.tensors[0]
    assert (query.name, query.sparsity_before) == ("encoder.layer.0.attention.query", 0)
    assert query.sparsity_after == (after[NAMES[0]] == 0).mean()


def test_the_inputs_of_every_matrix_are_measured(source, data, tmp_path, monkeypatch):
    wanted = observed_norms(source, data, 6, 3, tmp_path, monkeypatch)
    bundle = Bundle.load(tmp_path / "observed")
    samples = draw_samples(QuestionAnswerer(bundle), read_dataset(data).examples, 6, seed=3)
    got = input_norms(bundle, samples)
    assert got.keys() == wanted.keys()
    assert len(got) == 2 * 6 + 1
    for name, norms in wanted.items():
        np.testing.assert_allclose(got[name], norms, rtol=1e-4, atol=1e-4 * norms.max())


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "height"), [("1x4", 4), ("unstructured", 1)])
def test_calibration_weighs_each_weight_with_its_input(source, data, tmp_path, monkeypatch, pattern, height):
    norms = observed_norms(source, data, 6, 3, tmp_path, monkeypatch)
    result = sparsify(source, tmp_path / "small", pattern=pattern, ratio=0.5, calibration=data, samples=6, seed=3)
    assert result.calibration.samples == 6
    before, after = encoder_of(source), dict(matrices(encoder_of(result.path)))
    for name, weight in matrices(before):
        if name == "qa.logits":
            continue
        gone = (after[name] == 0).reshape(-1, height, weight.shape[1]).all(axis=1)
        assert gone.mean() == pytest.approx(0.5, abs=1e-3)
        scores = (np.abs(weight) * norms[name]).reshape(-1, height, weight.shape[1]).sum(axis=1)
        # Up to the last digits of a norm.
        assert scores[gone].max() <= scores[~gone].min() * (1 + 1e-4)
        plain = np.abs(weight).reshape(scores.shape[0], height, -1).sum(axis=1)
        if name.endswith("query"):
            assert plain[gone].max() > 1.1 * plain[~gone].min()  # magnitude alone would have chosen others


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(source, data, tmp_path):
    def run(name: str, **options) -> dict[str, bytes]:
        path = tmp_path / name
        sparsify(source, path, pattern="1x4", ratio=0.5, calibration=data, samples=3, **options)
        return files_of(path)

    first = run("a")
    assert run("b") == first
    other = run("c", seed=1)
    assert other["model.safetensors"] != first["model.safetensors"]
    assert other["tokenizer.json"] == first["tokenizer.json"]


def test_the_source_is_left_alone(source, tmp_path):
    before = files_of(source)
    sparsify(source, tmp_path / "small", pattern="heads", ratio=0.25)
    assert files_of(source) == before


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("1x4", "1x4 block sparse"),
        ("32x32", "block-sparse / structured (nn_pruning)"),
        ("heads", "pruned heads"),
        ("ffn", "hybrid-filled"),
    ],
)
def test_the_result_is_recognised(source, tmp_path, pattern, kind):
    written = read_checkpoint(sparsify(source, tmp_path / "small", pattern=pattern, ratio=0.5).path)
    assert kind in recognise(read_encoder(written), written.config).kinds


def test_an_unstructured_result_is_recognised(source, data, tmp_path):
    result = sparsify(source, tmp_path / "small", pattern="unstructured", ratio=0.5, calibration=data, samples=2)
    found = recognise(encoder_of(result.path), {})
    assert "unstructured" in found.kinds
    assert {tensor.zeros.verdict for tensor in found.tensors if "query" in tensor.name} == {"unstructured"}


def test_the_card_says_what_was_done(source, data, tmp_path):
    result = sparsify(source, tmp_path / "small", pattern="1x4", ratio=0.8, calibration=data, samples=4, seed=2)
    card = (result.path / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n# A model\n")
    for words in (
        "--pattern 1x4",
        "80.00%",
        read_dataset(data).sha256,
        "4 windows of questions.jsonl",
        "seed 2",
        read_checkpoint(source).sha256,
        "Nothing was trained afterwards",
    ):
        assert words in card
    bundle = convert(result.path, tmp_path / "bundle")
    assert bundle.manifest.model.licence == "mit"
    assert "--pattern 1x4" in Bundle.load(bundle.path).card
