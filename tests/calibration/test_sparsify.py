"""Pruned checkpoints: what was removed, and that everything else is as it was."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from calibration.quantize import quantize
from calibration.samples import draw_samples
from calibration.sparsify import sparsify
from calibration.sparsity.input_norms import input_norms
from converters import reference
from converters.checkpoint import read_checkpoint
from converters.convert import convert
from converters.encoder import Attention, Encoder, FeedForward
from converters.families import read_encoder
from converters.ir.storage import round_to_storage
from converters.matrices import matrices
from converters.recognising.recognise import recognise
from converters.recognising.weight_density import lost_zeros, weight_zeros
from edge_qa import QuestionAnswerer
from edge_qa.bundle import Bundle
from edge_qa.dataset import read_dataset
from edge_qa.errors import CheckpointError, InputError
from tests.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.cli.command import Command

FAMILIES = Path(__file__).resolve().parents[1] / "golden" / "families"
SIZES = {"layers": 2, "hidden": 128, "heads": 4, "ffn": 256}
LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NAMES = [f"bert.encoder.layer.{layer}.{name}.weight" for layer in range(2) for name in LINEARS]


def source_of(folder: Path) -> Path:
    """Four heads of 32 in each of two layers; the first channels are large, so that norms matter."""
    tensors = bert_tensors(**SIZES)
    tensors["bert.embeddings.LayerNorm.weight"][:40] *= 6
    for name, array in tensors.items():
        tensors[name] = array.astype(np.float16).astype(np.float32)
    write_checkpoint(folder, tensors=tensors, config=bert_config(**SIZES))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n\nF1 80.\n")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return source_of(tmp_path_factory.mktemp("source") / "model")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    words = "ada wrote the first book in london of the iron bridge a city on the water . the engine is built of stone ."
    lines = [
        {"question": question, "context": " ".join(words.split()[:size])}
        for question in ("who wrote it ?", "where is the bridge ?", "what is built of stone ?")
        for size in range(5, 22)
    ]
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def encoder_of(folder: Path) -> Encoder:
    return read_encoder(read_checkpoint(folder))


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


# Heads and neurons


def logits_of(encoder: Encoder) -> np.ndarray:
    random = np.random.default_rng(5)
    real = np.arange(12) < np.array([[12], [7]])
    inputs = {
        "input_ids": np.where(real, random.integers(5, encoder.vocabulary, real.shape), 0),
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(12) >= 4) & real).astype(np.int64),
        "position_ids": np.tile(np.arange(12), (2, 1)),
    }
    return np.stack(reference.reference_logits(encoder, inputs))[:, real]


def difference(got: Encoder, wanted: Encoder) -> float:
    """The largest difference of their logits, relative to max(1, the largest)."""
    logits = logits_of(wanted)
    return float(np.abs(logits_of(got) - logits).max() / max(1, np.abs(logits).max()))


def masked(encoder: Encoder, change) -> Encoder:
    """The encoder with the weight of each layer's attention.output and ffn.down changed by `change`."""
    layers = []
    for index, layer in enumerate(encoder.layers):
        attention: Attention = layer.attention
        block: FeedForward = layer.feed_forwards[0]
        output = replace(attention.output, weight=change(index, "output", attention.output.weight.copy()))
        down = replace(block.down, weight=change(index, "down", block.down.weight.copy()))
        layers.append(
            replace(layer, attention=replace(attention, output=output), feed_forwards=(replace(block, down=down),))
        )
    return replace(encoder, layers=tuple(layers))


@pytest.mark.parametrize("calibrated", [False, True])
def test_removed_heads_are_as_good_as_masked_ones(source, data, tmp_path, calibrated):
    result = sparsify(
        source, tmp_path / "small", pattern="heads", ratio=0.4, calibration=data if calibrated else None, samples=3
    )
    assert result.ratio == 3 / 8
    assert sum(map(len, result.removed_heads)) == 3
    assert sum(result.structure.heads_after) == 5

    def without(index: int, part: str, weight: np.ndarray) -> np.ndarray:
        for head in result.removed_heads[index] if part == "output" else ():
            weight[:, 32 * head : 32 * head + 32] = 0
        return weight

    small = encoder_of(result.path)
    assert difference(small, masked(encoder_of(source), without)) < 1e-5
    assert difference(small, encoder_of(source)) > 0.01
    config = json.loads((result.path / "config.json").read_text())
    assert config["pruned_heads"] == {str(i): list(heads) for i, heads in enumerate(result.removed_heads) if heads}
    assert config["num_attention_heads"] == 4
    bundle = convert(result.path, tmp_path / "bundle")
    assert bundle.manifest.model.heads == result.structure.heads_after


def test_removed_neurons_are_as_good_as_masked_ones(source, tmp_path):
    tensors = weights_of(source)
    result = sparsify(source, tmp_path / "small", pattern="ffn", ratio=0.3)
    scores = {
        (layer, neuron): float(
            np.abs(tensors[f"bert.encoder.layer.{layer}.output.dense.weight"][:, neuron].astype(float)).sum()
        )
        for layer in range(2)
        for neuron in range(256)
    }
    gone = sorted(scores, key=lambda place: scores[place])[:154]  # 0.3 of 512 is 153.6

    def without(index: int, part: str, weight: np.ndarray) -> np.ndarray:
        if part == "down":
            weight[:, [neuron for layer, neuron in gone if layer == index]] = 0
        return weight

    small = encoder_of(result.path)
    assert difference(small, masked(encoder_of(source), without)) < 1e-5
    widths = convert(result.path, tmp_path / "bundle").manifest.model.ffn_widths
    assert widths == result.structure.ffn_widths_after
    assert widths == tuple((256 - sum(layer == index for layer, _ in gone),) for index in range(2))


def test_a_layer_keeps_a_head_unless_it_need_not(tmp_path):
    tensors = bert_tensors(**SIZES)
    for part in LINEARS[:4]:
        tensors[f"bert.encoder.layer.0.{part}.weight"] *= 0.1
    source = write_checkpoint(tmp_path / "source", tensors=tensors, config=bert_config(**SIZES))
    kept = sparsify(source, tmp_path / "kept", pattern="heads", ratio=0.5)
    assert kept.structure.heads_after == (1, 3)
    none = sparsify(source, tmp_path / "none", pattern="heads", ratio=0.5, least_heads=0)
    assert none.structure.heads_after == (0, 4)
    assert convert(none.path, tmp_path / "bundle").manifest.model.heads == (0, 4)
    with pytest.raises(InputError, match=r"ratio 0\.9: would remove 7 of 8 heads, .* 6 can go"):
        sparsify(source, tmp_path / "few", pattern="heads", ratio=0.9)


def test_heads_keep_their_original_numbers(source, tmp_path):
    first = sparsify(source, tmp_path / "first", pattern="heads", ratio=0.25)
    second = sparsify(first.path, tmp_path / "second", pattern="heads", ratio=0.34)
    assert [len(a) + len(b) for a, b in zip(first.removed_heads, second.removed_heads, strict=True)] == [
        4 - left for left in second.structure.heads_after
    ]
    assert not any(set(a) & set(b) for a, b in zip(first.removed_heads, second.removed_heads, strict=True))
    config = json.loads((second.path / "config.json").read_text())
    assert config["pruned_heads"] == {
        str(i): sorted(a + b)
        for i, (a, b) in enumerate(zip(first.removed_heads, second.removed_heads, strict=True))
        if a + b
    }


@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert"])
@pytest.mark.parametrize("pattern", ["1x4", "heads", "ffn"])
def test_other_families_are_pruned_too(tmp_path, family, pattern):
    result = sparsify(FAMILIES / family, tmp_path / "small", pattern=pattern, ratio=0.5)
    assert convert(result.path, tmp_path / "bundle").manifest.model.family == family
    if pattern == "1x4":
        assert {tensor.sparsity_after for tensor in result.tensors} == {0.5}


# What is written beside the weights


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


# INT8


def test_int8_keeps_every_zero(source, data, tmp_path, command):
    small = sparsify(source, tmp_path / "small", pattern="1x4", ratio=0.8).path
    fp16, int8 = tmp_path / "fp16", tmp_path / "int8"
    convert(small, fp16, compact=None)
    quantize(fp16, int8, calibration=data, samples=4)
    zeros = weight_zeros(Bundle.load(fp16))
    lost = lost_zeros(Bundle.load(fp16), Bundle.load(int8))
    for layer in range(2):
        names = [name for name in lost if name.startswith(f"encoder.layer.{layer}.")]
        assert len(names) == 6
        for name in names:
            assert zeros[name][0] == pytest.approx(0.8 * zeros[name][1], abs=4)
            assert lost[name] == 0
    shown = command("inspect", int8, "--against", fp16)
    assert shown.code == 0
    total = sum(count for count, _ in zeros.values())
    assert f"zeros kept:           all {total:,} of {fp16}, in each of its 13 matrices" in shown.out
    assert command("inspect", int8, "--against", fp16, "--json").json["weights"]["against"]["lost"] == lost


def test_a_lost_zero_is_a_negative_verdict(source, data, tmp_path, command):
    """A bundle whose zeros lie elsewhere: the same model pruned for other inputs."""
    for name, options in (("a", {}), ("b", {"calibration": data, "samples": 2})):
        small = sparsify(source, tmp_path / f"small-{name}", pattern="1x4", ratio=0.5, **options).path
        convert(small, tmp_path / name, compact=None)
    shown = command("inspect", tmp_path / "b", "--against", tmp_path / "a")
    assert shown.code == 1
    assert "zeros LOST" in shown.out
    assert "encoder.layer.0.attention.query: " in shown.out
    assert command("inspect", source, "--against", tmp_path / "a").code == 2


# Options and models that do not fit


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
    with pytest.raises(CheckpointError, match="already exists"):
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


# The command


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
    assert (again.code, "already exists" in again.err) == (3, True)
    assert command("sparsify", source, tmp_path / "c", "--pattern", "1x4", "--ratio", "1").code == 2
    assert command("sparsify", source, tmp_path / "c", "--pattern", "2:4", "--ratio", "0.5").code == 2
    assert command("sparsify", source, tmp_path / "c", "--pattern", "heads", "--ratio", "0.9").code == 4
    assert not (tmp_path / "c").exists()


# NNCF


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
    for name in ("calibration.sparsity.unstructured", "converters.exporting.foreign"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    shown = command("sparsify", source, tmp_path / "small", "--pattern", "unstructured", "--ratio", "0.5")
    assert shown.code == 6
    assert "pip install 'edge-qa[" in shown.err
