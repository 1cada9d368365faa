"""Mask scores of raw training checkpoints: what they mean, who says it, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.pruned_checkpoints.fine_pruning import apply_pruning
from converters.pruned_checkpoints.mask_scores import (
    MaskRule,
    mask_from_blocks,
    mask_from_lines,
    mask_from_patterns,
    mask_two_of_four,
)
from converters.pruned_checkpoints.pruning_settings import pruning_settings
from edge_qa.errors import CheckpointError
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint

ONES = np.ones((2, 4), np.float32)
# sigmoid: -1 -> 0.269, 0 -> 0.5, 1 -> 0.731, 2 -> 0.881
SCORES = np.array([[2, -1, 0, 1], [1.5, 0.5, -0.5, -2]], np.float32)


def rule(method: str, threshold: float = 0.0, least: float = 0.0) -> MaskRule:
    return MaskRule(method, threshold, least)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (rule("threshold", 0.5), [[1, 0, 0, 1], [1, 0, 0, 0]]),  # 0.5 itself is not above
        (rule("sigmoied_threshold", 0.7), [[1, 0, 0, 1], [1, 0, 0, 0]]),
        (rule("sigmoied_threshold", 0.5), [[1, 0, 0, 1], [1, 1, 0, 0]]),
        (rule("topK", 0.25), [[1, 0, 0, 0], [1, 0, 0, 0]]),
        (rule("topK", 0.49), [[1, 0, 0, 1], [1, 0, 0, 0]]),  # 3.92 are rounded down
        (rule("topK", 1), [[1, 1, 1, 1], [1, 1, 1, 1]]),
        (rule("topK", 0), [[0, 0, 0, 0], [0, 0, 0, 0]]),
        # Fewer than int(0.3 * 8) + 1 = 3 are above 10: those above the (8 - 3)th lowest score, 0.5, remain.
        (rule("threshold", 10, least=0.3), [[1, 0, 0, 1], [1, 0, 0, 0]]),
        (rule("threshold", 10), [[0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_masks_by_hand(given, kept):
    assert mask_from_blocks(SCORES, ONES, given, "here").tolist() == kept


def test_one_score_covers_a_block():
    mask = mask_from_blocks(np.array([[1, -1]], np.float32), ONES, rule("threshold"), "here")
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


def test_l0_scales_the_weights():
    scores = np.array([[-10, 0, 10, np.log(3)]], np.float32)  # sigmoid 0, 1/2, 1, 3/4
    mask = mask_from_blocks(scores, np.ones((1, 4), np.float32), rule("l0"), "here")
    np.testing.assert_allclose(mask, [[0, 0.5, 1, 0.8]], atol=1e-6)


def test_magnitude_looks_at_the_weights():
    weight = np.array([[3, -4, 1, 2]], np.float32)
    assert mask_from_blocks(weight * 0, weight, rule("magnitude", 0.5), "here").tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("method", ["topK", "magnitude"])
def test_a_tie_at_the_cut_is_refused(method):
    tied = np.array([[1, 2, 2, 3]], np.float32)
    with pytest.raises(CheckpointError, match="here: equal scores on both sides of the cut"):
        mask_from_blocks(tied, tied, rule(method, 0.5), "here")


def test_rows_and_columns_multiply_their_scores():
    rows, columns = np.array([1, -1], np.float32), np.array([2, -3, 1, 0], np.float32)
    # scores: 2 -3 1 0 / -2 3 -1 -0
    mask = mask_from_lines(rows, columns, ONES, rule("threshold", 0), "here")
    assert mask.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    mask = mask_from_lines(rows, None, ONES, rule("threshold", 0), "here")
    assert mask.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    mask = mask_from_lines(None, columns, ONES, rule("threshold", 0), "here")
    assert mask.tolist() == [[1, 0, 1, 0], [1, 0, 1, 0]]
    mask = mask_from_lines(None, columns[:2], ONES, rule("threshold", 0), "here", block=(2, 2))
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


def test_two_of_four_keeps_the_two_highest_of_each_group():
    scores = np.array([[1, 2, 3, 4, 9, 8, 7, 6]], np.float32)
    assert mask_two_of_four(scores, scores, "here").tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]]
    with pytest.raises(CheckpointError, match="equal scores"):
        mask_two_of_four(np.ones((1, 4), np.float32), np.ones((1, 4), np.float32), "here")


def test_the_best_pattern_of_four_outputs_is_taken():
    patterns = np.array([[1, 1, 0, 0], [0, 1, 0, 1]], np.float32)
    scores = np.array([[[1, 2]], [[2, 1]]], np.float32)  # 2 inputs, one group of 4 outputs
    mask = mask_from_patterns(scores, patterns, np.ones((4, 2), np.float32), "here")
    assert mask.tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(CheckpointError, match="here: mask scores of shape 2x3 do not cut a 2x4 weight"):
        mask_from_blocks(np.zeros((2, 3), np.float32), ONES, rule("threshold"), "here")


# Whole checkpoints

LINEARS = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
LINEARS += ("intermediate.dense", "output.dense")
NN_PRUNING = {
    "attention_pruning_method": "sigmoied_threshold",
    "dense_pruning_method": "sigmoied_threshold:1d_alt",
    "ampere_pruning_method": "disabled",
    "attention_output_with_dense": False,
    "bias_mask": True,
    "final_threshold": 0.1,
    "linear_min_parameters": 0.005,
    "dense_block_rows": 1,
    "dense_block_cols": 1,
}
# sigmoid(LOW) < 0.1 < sigmoid(HIGH)
LOW, HIGH = -3.0, -1.0


def raw_checkpoint(folder: Path, settings: dict | None = None, **config) -> Path:
    """nn_pruning's hybrid: 8x8 blocks of the attention and rows or columns of the rest, in its own names.

    Layer 0 loses query's first 8 rows as blocks, neurons 0 to 9 by rows of W1, 40 to 47 by columns of W2.
    """
    tensors = bert_tensors()
    for layer in range(2):
        for linear in LINEARS:
            name = f"bert.encoder.layer.{layer}.{linear}"
            outputs, inputs = tensors[f"{name}.weight"].shape
            if "attention" in linear:
                tensors[f"{name}.mask_module.context_modules.0.mask_scores"] = np.full((4, 4), HIGH, np.float32)
            else:
                side, size = (0, outputs) if linear == "intermediate.dense" else (1, inputs)
                tensors[f"{name}.mask_module.context_modules.{side}.mask_scores"] = np.full(size, HIGH, np.float32)
    first = "bert.encoder.layer.0"
    tensors[f"{first}.attention.self.query.mask_module.context_modules.0.mask_scores"][0] = LOW
    tensors[f"{first}.intermediate.dense.mask_module.context_modules.0.mask_scores"][:10] = LOW
    tensors[f"{first}.output.dense.mask_module.context_modules.1.mask_scores"][40:] = LOW
    write_checkpoint(folder, tensors=tensors, config=bert_config(**config))
    if settings is not None:
        (folder / "sparse_args.json").write_text(json.dumps(settings))
    return folder


def masked(folder: Path, **options) -> Checkpoint:
    source = read_checkpoint(folder)
    return apply_pruning(source, pruning_settings(source, **options))


def expected_tensors(*, bias: bool) -> dict[str, np.ndarray]:
    tensors, first = bert_tensors(), "bert.encoder.layer.0"
    tensors[f"{first}.attention.self.query.weight"][:8] = 0
    tensors[f"{first}.intermediate.dense.weight"][:10] = 0
    tensors[f"{first}.output.dense.weight"][:, 40:] = 0
    if bias:
        tensors[f"{first}.attention.self.query.bias"][:8] = 0
        tensors[f"{first}.intermediate.dense.bias"][:10] = 0
    return tensors


def assert_same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert got.keys() == wanted.keys()
    assert [name for name in wanted if not np.array_equal(got[name], wanted[name])] == []


@pytest.mark.parametrize("bias", [True, False])
def test_masks_are_applied_as_sparse_args_says(tmp_path, bias):
    folder = raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING | {"bias_mask": bias})
    assert_same(masked(folder).tensors, expected_tensors(bias=bias))


def test_the_conversion_of_a_raw_checkpoint_is_that_of_its_plain_twin(tmp_path):
    raw = convert(raw_checkpoint(tmp_path / "raw", NN_PRUNING), tmp_path / "a")
    plain = convert(write_checkpoint(tmp_path / "plain", tensors=expected_tensors(bias=True)), tmp_path / "b")
    assert raw.manifest.model.ffn_widths == ((30,), (48,))
    files = ("model.xml", "model.bin")
    assert [raw.manifest.files[name] for name in files] == [plain.manifest.files[name] for name in files]
    assert raw.manifest.lineage[0].options == {
        "compact": "exact",
        "mask_attention": "sigmoied_threshold 0.1",
        "mask_dense": "sigmoied_threshold 0.1",
        "mask_bias": "true",
    }


def test_reading_a_raw_checkpoint_never_takes_its_weights_for_unpruned(tmp_path):
    encoder = read_encoder(read_checkpoint(raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING)))
    assert not encoder.layers[0].feed_forwards[0].up.weight[:10].any()
    with pytest.raises(CheckpointError, match="give `mask_method` and `mask_threshold`"):
        read_encoder(read_checkpoint(raw_checkpoint(tmp_path / "unsaid")))


def test_options_say_what_no_file_says(tmp_path):
    folder = raw_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match=r"holds 12 tensors of mask scores .* give `mask_method`"):
        convert(folder, tmp_path / "bundle")
    said = {"mask_method": "sigmoied_threshold", "mask_threshold": 0.1}
    with pytest.raises(CheckpointError, match=r"8 rows are masked as a whole.*give `mask_bias`"):
        masked(folder, **said)
    for bias in (True, False):
        assert_same(masked(folder, **said, mask_bias=bias).tensors, expected_tensors(bias=bias))
    result = convert(folder, tmp_path / "bundle", **said, mask_bias=True)
    assert result.manifest.model.ffn_widths == ((30,), (48,))


def test_options_go_before_the_file(tmp_path):
    folder = raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING | {"final_threshold": 0.9})
    assert_same(masked(folder, mask_threshold=0.1).tensors, expected_tensors(bias=True))


def test_options_without_mask_scores_are_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="holds no mask scores; leave out `mask_method`"):
        convert(folder, tmp_path / "bundle", mask_method="topK")


def test_movement_pruning_keeps_one_score_for_each_weight_and_every_bias(tmp_path):
    tensors, wanted = bert_tensors(), bert_tensors()
    random = np.random.default_rng(0)
    for layer in range(2):
        for linear in LINEARS:
            name = f"bert.encoder.layer.{layer}.{linear}"
            scores = random.permutation(wanted[f"{name}.weight"].size).reshape(wanted[f"{name}.weight"].shape)
            scores[0] = -1 - np.arange(scores.shape[1])
            tensors[f"{name}.mask_scores"] = scores.astype(np.float32)
            kept = scores > np.sort(scores, axis=None)[scores.size - int(0.3 * scores.size) - 1]
            wanted[f"{name}.weight"][~kept] = 0
    config = bert_config() | {"model_type": "masked_bert", "pruning_method": "topK"}
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=tensors, config=config)
    with pytest.raises(CheckpointError, match=r"final_threshold: got None.*give `mask_threshold`"):
        masked(folder)
    assert_same(masked(folder, mask_threshold=0.3).tensors, wanted)
    assert convert(folder, tmp_path / "bundle", mask_threshold=0.3).manifest.model.family == "bert"


def test_two_of_four_masks_multiply_the_others(tmp_path):
    folder = raw_checkpoint(tmp_path / "checkpoint")
    tensors = dict(read_checkpoint(folder).tensors)
    scores = np.tile(np.array([4, 3, 2, 1], np.float32), (32, 8))
    for layer in range(2):
        tensors[f"bert.encoder.layer.{layer}.attention.self.query.ampere_module.context_module.mask_scores"] = scores
    folder = write_checkpoint(folder, tensors=tensors)
    (folder / "sparse_args.json").write_text(json.dumps(NN_PRUNING | {"ampere_pruning_method": "topK"}))
    wanted = expected_tensors(bias=True)
    for layer in range(2):
        weight = wanted[f"bert.encoder.layer.{layer}.attention.self.query.weight"]
        weight[:, 2::4] = weight[:, 3::4] = 0
    assert_same(masked(folder).tensors, wanted)
    (folder / "sparse_args.json").write_text(json.dumps(NN_PRUNING | {"ampere_pruning_method": "new"}))
    with pytest.raises(CheckpointError, match="ampere_pruning_method is 'new'"):
        masked(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewind_model_name_or_path": "somewhere"}, "rewind_model_name_or_path"),
        ({"eval_with_current_patch_params": True}, "eval_with_current_patch_params.*give `mask_threshold`"),
        ({"dense_pruning_method": "sage"}, "dense_pruning_method 'sage' is not known.*one of threshold"),
        ({"dense_pruning_method": "disabled"}, "has mask scores, which sparse_args.json says are disabled"),
        ({"final_threshold": "high"}, "final_threshold: got 'high', wanted a number"),
        ({"linear_min_parameters": 2}, "linear_min_parameters: got 2, wanted a share"),
        ({"dense_block_rows": 0}, "dense_block_rows: got 0"),
    ],
)
def test_what_cannot_be_applied_exactly_is_refused_by_name(tmp_path, change, message):
    folder = raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING | change)
    with pytest.raises(CheckpointError, match=message):
        masked(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("attention.self.query.out_scale", "query.out_scale belongs to no pruning method"),
        ("attention.self.query.mask_module.threshold", "mask_module.threshold belongs to no pruning method"),
    ],
)
def test_tensors_of_unknown_methods_are_refused_by_name(tmp_path, name, message):
    folder = raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING)
    tensors = dict(read_checkpoint(folder).tensors) | {f"bert.encoder.layer.0.{name}": np.ones(1, np.float32)}
    write_checkpoint(folder, tensors=tensors)
    with pytest.raises(CheckpointError, match=message):
        masked(folder)


def test_scores_that_were_saved_for_some_layers_only_are_refused(tmp_path):
    folder = raw_checkpoint(tmp_path / "checkpoint", NN_PRUNING)
    lost = "bert.encoder.layer.1.attention.self.key.mask_module.context_modules.0.mask_scores"
    tensors = {name: array for name, array in read_checkpoint(folder).tensors.items() if name != lost}
    write_checkpoint(folder, tensors=tensors)
    with pytest.raises(CheckpointError, match=r"1 of 2 layers bert\.encoder\.layer\.N\.attention\.self\.key have mask"):
        masked(folder)


def test_norms_on_their_way_to_no_norm_are_folded_and_gelu_becomes_relu(tmp_path):
    tensors = bert_tensors()
    norms = [name.removesuffix(".weight") for name in tensors if name.endswith("LayerNorm.weight")]
    for name in norms:
        tensors[f"{name}.accumulator"] = np.array([1.0, 8.0, 2.0], np.float32)  # mean 1/2, variance 4
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=tensors)
    (folder / "sparse_args.json").write_text(json.dumps({"gelu_patch": True, "layer_norm_patch": True}))
    plain = masked(folder)
    assert plain.config["layer_norm_type"] == "no_norm"
    assert plain.config["hidden_act"] == "relu"
    for name in norms:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        # (x - 1/2) / 2 * weight + bias
        np.testing.assert_allclose(plain.tensors[f"{name}.weight"], weight / 2, rtol=1e-6)
        np.testing.assert_allclose(plain.tensors[f"{name}.bias"], bias - weight / 4, rtol=1e-5, atol=1e-6)
    assert len(plain.tensors) == len(bert_tensors())
    encoder = read_encoder(read_checkpoint(folder))
    assert encoder.embeddings.norm.epsilon is None
    assert encoder.activation == "relu"


def test_half_the_norms_on_their_way_are_refused(tmp_path):
    tensors = bert_tensors() | {"bert.embeddings.LayerNorm.accumulator": np.ones(3, np.float32)}
    folder = write_checkpoint(tmp_path / "checkpoint", tensors=tensors)
    with pytest.raises(CheckpointError, match="1 of 5 layer norms were on their way to no-norm"):
        read_encoder(read_checkpoint(folder))
