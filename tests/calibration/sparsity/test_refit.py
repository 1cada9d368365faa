"""sparsify --refit: what is left makes good what went."""

import math
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from calibration.data.samples import Inputs
from calibration.sparsity import refitting
from calibration.sparsity.refitting import prune_and_refit, prune_linear
from calibration.sparsity.sparsify import sparsify
from calibration.statistics.least_squares import Moments
from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.inspection.recognise import recognise
from converters.model.encoder import Encoder, Layer, Linear, Norm
from converters.verification.reference import embed, reference_logits
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.random_windows import random_windows
from tests.support.small_model import LINEARS, NAMES, encoder_of, files_of, weights_of

SIZES = {"layers": 2, "hidden": 32, "heads": 4, "ffn": 48}


@pytest.fixture
def encoder(tmp_path) -> Encoder:
    return read_encoder(read_checkpoint(write_checkpoint(tmp_path / "model", config=bert_config(**SIZES))))


def error(got: Encoder, wanted: Encoder, inputs: list[Inputs]) -> float:
    """The mean square by which logits differ."""
    pairs = [(np.stack(reference_logits(model, each)) for model in (got, wanted)) for each in inputs]
    return float(np.mean([((one - other) ** 2).mean() for one, other in pairs]))


def linears(encoder: Encoder) -> list[Linear]:
    found: list[Linear] = []
    for layer in encoder.layers:
        attention, block = layer.attention, layer.feed_forwards[0]
        found += [attention.query, attention.key, attention.value, attention.output, block.up, block.down]
    return found


@pytest.mark.parametrize(("block", "ratio"), [((4, 1), 0.5), ((1, 1), 0.8), ((16, 16), 0.25)])
def test_it_loses_less_than_zeros_alone_on_windows_that_it_did_not_see(encoder, block, ratio):
    told = []
    small, masks = prune_and_refit(
        encoder, random_windows(encoder, 60, 0), block, ratio, progress=lambda *where: told.append(where)
    )
    groups = 2 * (5 * 32 + 48) // block[0]  # every matrix has 32 outputs, but ffn.up
    assert told == [("refit", done, groups) for done in range(1, groups + 1)]
    assert len(masks) == 12
    zeros = encoder
    for linear, mask, before in zip(linears(small), masks, linears(encoder), strict=True):
        np.testing.assert_array_equal(linear.weight != 0, mask)
        wanted = round(ratio * mask.size / (block[0] * block[1])) * block[0] * block[1]
        assert (~mask).sum() == wanted
        zeros = with_linear(zeros, before, Linear(np.where(mask, before.weight, np.float32(0)), before.bias))
    other = random_windows(encoder, 20, 1)
    assert error(small, encoder, other) < 0.5 * error(zeros, encoder, other)


def with_linear(encoder: Encoder, old: Linear, new: Linear) -> Encoder:
    layers = []
    for layer in encoder.layers:
        parts = {
            name: new if getattr(layer.attention, name) is old else getattr(layer.attention, name)
            for name in ("query", "key", "value", "output")
        }
        (block,) = layer.feed_forwards
        up, down = (new if part is old else part for part in (block.up, block.down))
        layers.append(
            replace(
                layer,
                attention=replace(layer.attention, **parts),
                feed_forwards=(replace(block, up=up, down=down),),
            )
        )
    return replace(encoder, layers=tuple(layers))


def parts(layer: Layer, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a layer computes of one window x, (tokens, H), written out: before the activation and the norms, too."""
    attention, (block,) = layer.attention, layer.feed_forwards

    def linear(name: str, given: np.ndarray) -> np.ndarray:
        part = getattr(attention, name, None) or getattr(block, name)
        return given @ part.weight.T.astype(np.float64) + part.bias

    def norm(given: np.ndarray, part: Norm) -> np.ndarray:
        middle = given - given.mean(axis=1, keepdims=True)
        return middle / np.sqrt((middle**2).mean(axis=1, keepdims=True) + part.epsilon) * part.weight + part.bias

    found = {name: linear(name, x) for name in ("query", "key", "value")}
    heads = []
    for query, key, value in zip(*(np.split(found[name], attention.heads, axis=1) for name in found), strict=True):
        weights = np.exp(query @ key.T / np.sqrt(query.shape[1]))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ value)
    found["context"] = np.concatenate(heads, axis=1)
    found["attended"] = x + linear("output", found["context"])
    found["middle"] = norm(found["attended"], layer.attention_norm)
    found["up"] = linear("up", found["middle"])
    found["neurons"] = found["up"] * (1 + np.vectorize(math.erf)(found["up"] / math.sqrt(2))) / 2
    found["forwarded"] = found["middle"] + linear("down", found["neurons"])
    found["end"] = norm(found["forwarded"], block.norm)
    return found


def test_each_matrix_reads_the_pruned_model_and_is_fitted_to_the_original(encoder, monkeypatch):
    seen = []

    def watched(linear: Linear, moments: Moments, *rest: object, **more: object) -> tuple[Linear, np.ndarray]:
        seen.append(moments)
        return prune_linear(linear, moments, *rest, **more)

    monkeypatch.setattr(refitting, "prune_linear", watched)
    inputs = random_windows(encoder, 8, 0)
    small, _ = prune_and_refit(encoder, inputs, (4, 1), 0.6)
    pairs = [(x, x) for x in (embed(encoder, each)[0].astype(np.float64) for each in inputs)]
    moments = iter(seen)
    for whole, pruned in zip(encoder.layers, small.layers, strict=True):
        both = [(parts(whole, wanted), parts(pruned, x), x) for wanted, x in pairs]
        for read, target in (
            *((lambda got, x: x, lambda wanted, got, x, name=name: wanted[name]) for name in ("query", "key", "value")),
            (lambda got, x: got["context"], lambda wanted, got, x: wanted["attended"] - x),
            (lambda got, x: got["middle"], lambda wanted, got, x: wanted["up"]),
            (lambda got, x: got["neurons"], lambda wanted, got, x: wanted["forwarded"] - got["middle"]),
        ):
            a = np.concatenate([read(got, x) for _, got, x in both])
            t = np.concatenate([target(wanted, got, x) for wanted, got, x in both])
            found = next(moments)
            np.testing.assert_allclose(found.means()[0], a.mean(axis=0), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found.means()[1], t.mean(axis=0), rtol=1e-4, atol=1e-5)
            a, t = a - a.mean(axis=0), t - t.mean(axis=0)
            np.testing.assert_allclose(found.covariance(), a.T @ a / len(a), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found.cross(), a.T @ t / len(a), rtol=1e-4, atol=1e-5)
        pairs = [(wanted["end"], got["end"]) for wanted, got, _ in both]
    assert next(moments, None) is None


def test_layers_that_lost_all_heads_or_neurons(encoder):
    def empty(linear: Linear, rows: bool) -> Linear:
        if rows:
            return Linear(linear.weight[:0], linear.bias[:0])
        return Linear(linear.weight[:, :0], linear.bias)

    first, second = encoder.layers
    attention = first.attention
    without = replace(
        attention,
        heads=0,
        query=empty(attention.query, True),
        key=empty(attention.key, True),
        value=empty(attention.value, True),
        output=empty(attention.output, False),
    )
    (block,) = second.feed_forwards
    narrow = replace(block, up=empty(block.up, True), down=empty(block.down, False))
    odd = replace(
        encoder,
        layers=(replace(first, attention=without), replace(second, feed_forwards=(narrow,))),
    )
    inputs = random_windows(odd, 20, 0)
    small, masks = prune_and_refit(odd, inputs, (4, 1), 0.5)
    assert [mask.size > 0 for mask in masks] == [False] * 4 + [True] * 6 + [False] * 2
    assert np.isfinite(error(small, odd, inputs))
    assert small.layers[0].attention.heads == 0


@pytest.mark.slow
def test_the_checkpoint_has_the_pattern_and_its_card_tells(source, data, tmp_path, command):
    options = ("--pattern", "1x4", "--ratio", "0.8", "--calibration", data, "--samples", "8", "--refit")
    shown = command("sparsify", source, tmp_path / "small", *options)
    assert shown.code == 0, shown.err
    assert (
        "80.00% of the encoder's weights set to zero, by least squares over 8 windows of questions.jsonl" in shown.out
    )
    before, after = weights_of(source), weights_of(tmp_path / "small")
    for name in before:
        if name in NAMES:
            zeros = (after[name].reshape(-1, 4, after[name].shape[1]) == 0).all(axis=1)
            assert zeros.mean() == pytest.approx(0.8, abs=1 / zeros.size)
            assert (after[name] == 0).sum() == 4 * zeros.sum()
        elif not name.endswith("bias"):
            assert before[name].tobytes() == after[name].tobytes()
    found = recognise(encoder_of(tmp_path / "small"), {})
    assert "1x4 block sparse" in found.kinds
    card = (tmp_path / "small" / "README.md").read_text()
    for words in ("--pattern 1x4 --refit", "80.00%", "least squares", read_dataset(data).sha256, "arXiv 2208.11580"):
        assert words in card


@pytest.mark.slow
def test_what_was_pruned_before_stays_pruned(source, data, tmp_path):
    """A head whose biases are left, and 1x4 blocks that are more than are asked for."""
    refit = {"calibration": data, "samples": 8, "refit": True}
    headless = sparsify(source, tmp_path / "headless", pattern="1x4", ratio=0.7).path
    tensors = weights_of(headless)
    for name in LINEARS[:3]:
        tensors[f"bert.encoder.layer.0.{name}.weight"][32:64] = 0
    tensors["bert.encoder.layer.0.attention.output.dense.weight"][:, 32:64] = 0
    save_file(tensors, headless / "model.safetensors")
    less = weights_of(sparsify(headless, tmp_path / "less", pattern="1x4", ratio=0.5, **refit).path)
    more = weights_of(sparsify(headless, tmp_path / "more", pattern="1x4", ratio=0.9, **refit).path)
    for name in NAMES:
        np.testing.assert_array_equal(less[name] == 0, tensors[name] == 0)
        assert not more[name][tensors[name] == 0].any()
        assert (more[name] == 0).mean() == pytest.approx(0.9, abs=2 / more[name].size)
    assert not np.array_equal(less[NAMES[3]], tensors[NAMES[3]])


def test_sizes_that_make_no_whole_blocks(tmp_path, data, command):
    sizes = {"layers": 1, "hidden": 30, "heads": 2, "ffn": 46}
    odd = write_checkpoint(tmp_path / "odd", tensors=bert_tensors(**sizes), config=bert_config(**sizes))
    options = ("--pattern", "1x4", "--ratio", "0.5", "--calibration", data, "--samples", "4", "--refit")
    shown = command("sparsify", odd, tmp_path / "small", *options)
    assert "and their ends lose nothing: encoder.layer.0.attention.query, say, is 30x30" in shown.out
    query = weights_of(tmp_path / "small")[NAMES[0]]
    assert query[28:].all()
    assert (query == 0).sum() == 4 * 113  # of 112.5 blocks


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(source, data, tmp_path):
    first, again = (
        sparsify(source, tmp_path / name, pattern="32x32", ratio=0.5, calibration=data, samples=4, refit=True)
        for name in "ab"
    )
    assert first.refitted
    assert files_of(first.path) == files_of(again.path)


def test_what_does_not_fit_is_refused(source, data, tmp_path, command):
    out = tmp_path / "small"
    bare = command("sparsify", source, out, "--pattern", "1x4", "--ratio", "0.5", "--refit")
    assert (bare.code, "--calibration FILE, which is not given" in bare.err) == (2, True)
    heads = command("sparsify", source, out, "--pattern", "heads", "--ratio", "0.5", "--refit", "--calibration", data)
    assert (heads.code, "--refit is for unstructured, 1x4, 32x32" in heads.err) == (2, True)
    with pytest.raises(InputError, match=r"refit: .* wanted questions, in calibration"):
        sparsify(source, out, pattern="1x4", ratio=0.5, refit=True)
    with pytest.raises(InputError, match="refit: got pattern 'ffn'"):
        sparsify(source, out, pattern="ffn", ratio=0.5, calibration=data, refit=True)
    with pytest.raises(InputError, match="too small to remove anything"):
        sparsify(source, out, pattern="1x4", ratio=1e-6, calibration=data, refit=True, progress=unwanted)
    assert not out.exists()


def unwanted(stage: str, done: int, total: int) -> None:
    raise AssertionError("work that is for nothing")
