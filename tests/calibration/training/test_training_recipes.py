"""Each recipe on a tiny model: the loss falls, what is asked for holds exactly, a stop in between changes nothing."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.inspection.zero_patterns import Mask
from converters.ir.bundle_encoder import read_back
from converters.model.compaction import compact
from converters.model.encoder import Encoder, named_arrays
from converters.model.matrices import layer_matrices
from converters.token_budgets.reference import token_dropping_logits
from converters.token_budgets.token_dropping import Keep, drop_tokens
from converters.verification.verify import TOLERANCE, relative_difference, seeded_inputs
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import OUTPUT_ROLES

torch = pytest.importorskip("torch")

from calibration.training import loop  # noqa: E402
from calibration.training.recipes.block_movement import BlockMovementHooks  # noqa: E402
from calibration.training.recipes.lengthdrop import LengthDropHooks  # noqa: E402
from tests.support.tiny_training import run, tiny_checkpoint, tiny_squad  # noqa: E402

pytestmark = pytest.mark.torch

# Options of each recipe; `late`: the step from which the loss is to fall, once nothing is taken away any more.
CASES: dict[str, tuple[dict, int]] = {
    "finetune": ({}, 0),
    "distil": ({"hidden_weight": 0.1, "attention_weight": 0.1}, 0),
    "prune-gain": ({"ratio": 0.4, "samples": 20}, 0),
    "prune-gates": ({"ratio": 0.5, "schedule": 0.5}, 16),
    "block-movement": ({"ratio": 0.5, "schedule": 0.5}, 16),
    "sparse-1x4": ({"ratio": 0.8, "schedule": 0.5}, 16),
    "lock": ({}, 0),
    "magnitude": ({"ratio": 0.7}, 0),
    "lengthdrop": ({"shortest": 0.3}, 0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, another of the same shapes, a sparse one, and data."""
    folder = tmp_path_factory.mktemp("training")
    tiny_checkpoint(folder / "checkpoint")
    tiny_checkpoint(folder / "other", seed=1, hidden=32)
    tiny_checkpoint(folder / "half", dtype=np.float16)
    tiny_squad(folder / "data.json")
    run(folder, "sparse-1x4", name="sparse", ratio=0.75, steps=8, refresh=1)
    return folder


def encoder_at(path: Path) -> Encoder:
    return read_encoder(read_checkpoint(path))


def compacted_at(path: Path) -> Encoder:
    """Without what the format is filled up with: narrow layers have zeros at their end."""
    return compact(encoder_at(path))


def start_of(folder: Path, recipe: str) -> dict:
    if recipe == "lock":
        return {"source": folder / "sparse", "teacher": folder / "checkpoint"}
    return {"teacher": folder / "other"} if recipe == "distil" else {}


def pattern(encoder: Encoder) -> dict[str, Mask]:
    return {
        f"{index}.{name}": weight != 0
        for index, layer in enumerate(encoder.layers)
        for name, weight in layer_matrices(layer)
    }


@pytest.mark.slow
@pytest.mark.parametrize("recipe", CASES)
def test_the_loss_falls(folder, recipe, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_STEPS", 1)
    options, late = CASES[recipe]
    losses = []
    run(folder, recipe, report=lambda report: losses.append(report.point.loss), **start_of(folder, recipe), **options)
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[late : late + 3])


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        *((recipe, {}) for recipe in CASES),
        ("magnitude", {"mode": "regularization", "schedule": 0.5}),
        ("lengthdrop", {"rule": "probe"}),
        ("prune-gain", {"ranking": "full", "checkpoint": "half"}),
        ("prune-gain", {"ranking": "fisher"}),
        ("distil", {"compute": "bf16"}),
    ],
)
def test_a_run_that_was_stopped_twice_gives_the_same_bytes(folder, recipe, changes, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "_REPORT_STEPS", 1)
    options = {**CASES[recipe][0], **changes, **start_of(folder, recipe), "steps": 12}
    if "checkpoint" in options:
        options["source"] = folder / options.pop("checkpoint")
    whole_run = run(folder, recipe, name="whole", **options)
    stops = [4, 9]

    def stop(report) -> None:
        if stops and report.point.step == stops[0]:
            stops.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            run(folder, recipe, name="parts", state=tmp_path, resume=resume, report=stop, **options)
        assert not (folder / "parts").exists()
    parts_run = run(folder, recipe, name="parts", state=tmp_path, resume=True, report=stop, **options)
    assert [(p.step, p.loss) for p in parts_run.curve] == [(p.step, p.loss) for p in whole_run.curve]
    whole, parts = ((folder / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert parts == whole
    (folder / "parts").rename(tmp_path / "done")


@pytest.mark.parametrize("ratio", [0.8, 0.5])
def test_sparse_1x4_zeroes_whole_aligned_blocks_exactly_as_many_as_asked(folder, ratio):
    run(folder, "sparse-1x4", name="blocks", ratio=ratio, steps=8, refresh=2)
    for stays in pattern(encoder_at(folder / "blocks")).values():
        blocks = stays.reshape(len(stays) // 4, 4, -1)
        assert (blocks.all(1) | ~blocks.any(1)).all()
        assert np.count_nonzero(~blocks.any(1)) == round(ratio * stays.size / 4)


def test_aligned_blocks_stay_where_they_are_though_a_neuron_is_dead(folder, tmp_path):
    shutil.copytree(folder / "sparse", tmp_path / "sparse")
    tensors = load_file(tmp_path / "sparse" / "model.safetensors")
    (down,) = (name for name in tensors if name.endswith("layer.0.output.dense.weight"))
    tensors[down][:, 1] = 0
    save_file(tensors, tmp_path / "sparse" / "model.safetensors")
    run(folder, "lock", name="aligned", steps=3, source=tmp_path / "sparse", teacher=folder / "checkpoint")
    was, is_now = pattern(encoder_at(tmp_path / "sparse")), pattern(encoder_at(folder / "aligned"))
    for name, stays in was.items():
        np.testing.assert_array_equal(is_now[name], stays)


def test_a_locked_pattern_is_the_same_afterwards_and_the_weights_are_not(folder):
    run(folder, "lock", name="locked", steps=6, **start_of(folder, "lock"))
    before, after = compacted_at(folder / "sparse"), compacted_at(folder / "locked")
    was, is_now = pattern(before), pattern(after)
    assert all(np.array_equal(was[name], is_now[name]) for name in was)
    assert not np.array_equal(before.layers[0].attention.query.weight, after.layers[0].attention.query.weight)


@pytest.mark.parametrize("mode", ["local", "global", "regularization"])
def test_magnitude_zeroes_the_share(folder, mode):
    run(folder, "magnitude", name=mode, mode=mode, ratio=0.6, steps=6)
    masks = pattern(encoder_at(folder / mode))
    shares = [1 - stays.mean() for stays in masks.values()]
    total = 1 - np.concatenate([stays.ravel() for stays in masks.values()]).mean()
    assert total == pytest.approx(0.6, abs=1e-3)
    assert (max(shares) - min(shares) < 0.01) == (mode == "local")


def test_prune_gain_keeps_within_the_multiply_adds(folder):
    run(folder, "prune-gain", name="small", ratio=0.4, samples=20, steps=2)
    small = compacted_at(folder / "small")
    # 2 layers; one head of 16 costs 4 * 64 * 16 multiply-adds a token beside its attention, a neuron 2 * 64.
    heads = [layer.attention.heads for layer in small.layers]
    widths = [layer.feed_forwards[0].width for layer in small.layers]
    assert sum(heads) < 8 or sum(widths) < 192
    linear = sum(heads) * 4 * 64 * 16 + sum(widths) * 2 * 64
    assert linear <= 0.65 * (8 * 4 * 64 * 16 + 192 * 2 * 64)


def test_prune_gates_closes_the_share_of_heads_and_of_neurons(folder):
    run(folder, "prune-gates", name="gated", ratio=0.5, steps=8)
    small = compacted_at(folder / "gated")
    assert sum(layer.attention.heads for layer in small.layers) == 4
    assert sum(layer.feed_forwards[0].width for layer in small.layers) == 96


def test_block_movement_leaves_ragged_layers_filled(folder):
    result = run(folder, "block-movement", name="moved", ratio=0.5, steps=8)
    small = compacted_at(folder / "moved")
    widths = [layer.feed_forwards[0].width for layer in small.layers]
    assert sum(widths) == 96
    heads = [layer.attention.heads for layer in small.layers]
    assert sum(heads) > 0
    assert result.summary[0] == f"Heads by layer: {heads[0]} {heads[1]}; feed-forward neurons: {widths[0]} {widths[1]}."


def test_block_movement_fills_what_is_left_when_the_schedule_ends(folder, monkeypatch):
    """Until then a share of the attention weights runs as zero; from then on they run as they are."""
    shares = []
    original = BlockMovementHooks.weights

    def watched(self, own):
        found = original(self, own)
        names = [name for name in self.scores if name.endswith(".weight")]
        zeros = sum(int((found[name] == 0).sum()) for name in names)
        shares.append(round(zeros / sum(found[name].numel() for name in names), 2))
        return found

    monkeypatch.setattr(BlockMovementHooks, "weights", watched)
    run(folder, "block-movement", name="moved", ratio=0.5, steps=8, schedule=0.5)
    assert shares[0] == 0
    assert shares[3] > 0.3
    assert shares[4:] == [0] * 4


def test_lengthdrop_trains_every_budget(folder, monkeypatch):
    """Every third step the shortest; shares never rise, and are not always the same."""
    seen = []
    original = LengthDropHooks.keep

    def watched(self, step):
        seen.append(original(self, step))
        return seen[-1]

    monkeypatch.setattr(LengthDropHooks, "keep", watched)
    run(folder, "lengthdrop", name="dropped", steps=12, shortest=0.25)
    shares = [keep.shares for keep in seen]
    assert shares[2::3] == [pytest.approx((0.5, 0.25))] * 4
    assert all(1 >= first >= second >= 0.25 for first, second in shares)
    assert len(set(shares)) > 5


def test_lengthdrop_learns_from_what_the_dropped_tokens_leave(folder):
    """The same run with nothing dropped gives other weights."""
    files = []
    for name, shortest in (("short", 0.25), ("whole", 1.0)):
        run(folder, "lengthdrop", name=name, steps=3, shortest=shortest)
        files.append((folder / name / "model.safetensors").read_bytes())
    assert files[0] != files[1]


def test_a_lengthdrop_checkpoint_needs_nothing_new_to_drop_tokens(folder):
    """Shapes stay as they were; convert takes it, and the graph that drops tokens computes the numpy statement."""
    run(folder, "lengthdrop", name="dropped", steps=3)
    before, after = encoder_at(folder / "checkpoint"), encoder_at(folder / "dropped")
    assert [a.shape for _, a in named_arrays(before)] == [a.shape for _, a in named_arrays(after)]
    bundle = Bundle.load(convert(folder / "dropped", folder / "dropped-bundle").path)
    stored = read_back(bundle)
    keep = Keep(tuple(np.linspace(1, 0.3, len(stored.layers)).tolist()), step=4)
    graph = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    drop_tokens(graph, keep)
    compiled = this_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for inputs in seeded_inputs(stored, ((1, 24, 24), (2, 20, 9))):
        results = compiled(inputs)
        wanted = token_dropping_logits(stored, inputs, keep)
        real = inputs["attention_mask"].astype(bool)
        assert relative_difference([results[role] for role in OUTPUT_ROLES], wanted, real) <= TOLERANCE


def test_what_finetune_writes_can_be_a_mean_with_the_weights_before(folder):
    run(folder, "finetune", name="trained", steps=3)
    run(folder, "finetune", name="mean", steps=3, trained_share=0.25)
    before, trained, mean = (
        load_file(folder / name / "model.safetensors") for name in ("checkpoint", "trained", "mean")
    )
    name = "bert.encoder.layer.1.attention.self.query.weight"
    assert not np.allclose(trained[name], before[name], atol=1e-4)
    np.testing.assert_allclose(mean[name], 0.25 * trained[name] + 0.75 * before[name], atol=1e-6)
