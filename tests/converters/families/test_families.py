"""Every family against the logits of transformers and the answers they give (tests/golden/make_family_logits.py).

A folder under tests/golden/families is a family: a checkpoint with its golden.npz.
"""

import json
import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.ir.graph import build_graph
from converters.model.encoder import Encoder
from converters.verification.reference import reference_logits
from edge_qa import QuestionAnswerer
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES
from edge_qa.errors import CheckpointError
from tests.support.places import GOLDEN_FILES

FAMILIES = sorted(folder for folder in (GOLDEN_FILES / "families").iterdir() if folder.is_dir())
TOLERANCE = 1e-4

families = pytest.mark.parametrize("folder", FAMILIES, ids=lambda folder: folder.name)


def folder_of(name: str) -> Path:
    return next(folder for folder in FAMILIES if folder.name == name)


@cache
def golden_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "golden.npz") as arrays:
        return dict(arrays)


@cache
def encoder_of(folder: Path) -> Encoder:
    return read_encoder(read_checkpoint(folder))


@pytest.fixture(scope="module")
def answerer_of(tmp_path_factory):
    """Convert a family's checkpoint and load the bundle, once for all tests."""

    @cache
    def make(folder: Path) -> QuestionAnswerer:
        return QuestionAnswerer.load(convert(folder, tmp_path_factory.mktemp("bundles") / folder.name).path)

    return make


def worst_difference(folder: Path, compute) -> float:
    """The largest difference of `compute`d logits from the goldens, relative to max(1, largest |logit|)."""
    golden = golden_of(folder)
    cases = sorted({key.split("/")[0] for key in golden if "/" in key})
    assert {case.split("x")[0] for case in cases} == {"1", "3"}
    worst, largest = 0.0, 0.0
    for case in cases:
        inputs = {role: golden[f"{case}/{role}"].astype(np.int64) for role in INPUT_ROLES[:3]}
        # The contract counts from 0, padded or not; transformers was given no positions at all.
        inputs["position_ids"] = np.broadcast_to(np.arange(inputs["input_ids"].shape[1]), inputs["input_ids"].shape)
        real = inputs["attention_mask"] == 1
        for got, name in zip(compute(inputs), ("start", "end"), strict=True):
            wanted = golden[f"{case}/{name}"]
            size = float(np.abs(wanted[real]).max())
            largest = max(largest, size)
            worst = max(worst, float(np.abs(got - wanted)[real].max()) / max(1, size))
    assert largest > 1  # else nothing could differ by much
    return worst


def run_graph(encoder: Encoder):
    compiled = this_core().compile_model(build_graph(encoder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def compute(inputs):
        results = compiled(inputs, share_inputs=False)
        return [np.array(results[role]) for role in OUTPUT_ROLES]

    return compute


@families
def test_the_graph_computes_what_transformers_computes(folder):
    assert worst_difference(folder, run_graph(encoder_of(folder))) <= TOLERANCE


@families
def test_the_numpy_reference_computes_what_transformers_computes(folder):
    encoder = encoder_of(folder)
    assert worst_difference(folder, lambda inputs: reference_logits(encoder, inputs)) <= TOLERANCE


def wrong_scale(encoder: Encoder) -> Encoder:
    layers = [
        replace(layer, attention=replace(layer.attention, scale=layer.attention.scale * 1.02))
        for layer in encoder.layers
    ]
    return replace(encoder, layers=tuple(layers))


def relative_of(encoder: Encoder, change) -> Encoder:
    """The encoder with every layer's relative positions changed."""
    attentions = [layer.attention for layer in encoder.layers]
    changed = [replace(attention, relative=change(attention.relative)) for attention in attentions]
    layers = zip(encoder.layers, changed, strict=True)
    return replace(encoder, layers=tuple(replace(layer, attention=attention) for layer, attention in layers))


def wrong_offset(encoder: Encoder) -> Encoder:
    """Every token reads the row of its neighbour, every distance that of the next one."""
    if encoder.layers[0].attention.relative is not None:
        return relative_of(encoder, lambda relative: replace(relative, table=np.roll(relative.table, 1, axis=0)))
    rolled = np.roll(encoder.embeddings.position, 1, axis=0)
    return replace(encoder, embeddings=replace(encoder.embeddings, position=rolled))


def wrong_norm(encoder: Encoder) -> Encoder:
    norm = encoder.embeddings.norm
    norm = replace(norm, bias=norm.bias + 0.01) if norm.epsilon is None else replace(norm, epsilon=0.1)
    return replace(encoder, embeddings=replace(encoder.embeddings, norm=norm))


def wrong_activation(encoder: Encoder) -> Encoder:
    return replace(encoder, activation="relu" if encoder.activation != "relu" else "gelu")


@families
@pytest.mark.parametrize("spoil", [wrong_scale, wrong_offset, wrong_norm, wrong_activation])
def test_the_goldens_tell_a_wrong_model(folder, spoil):
    encoder = encoder_of(folder)
    spoilt = spoil(encoder)
    assert worst_difference(folder, lambda inputs: reference_logits(spoilt, inputs)) > 10 * TOLERANCE


@families
def test_the_graph_takes_the_four_inputs_in_order(folder):
    model = build_graph(encoder_of(folder))
    assert [port.get_names() for port in model.inputs] == [{role} for role in INPUT_ROLES]
    assert [str(port.get_element_type()) for port in model.inputs] == ["<Type: 'int64_t'>"] * 4
    assert all(port.partial_shape == ov.PartialShape([-1, -1]) for port in model.inputs)
    assert [port.get_names() for port in model.outputs] == [{role} for role in OUTPUT_ROLES]


@families
def test_a_bundle_gives_the_best_answer_by_the_logits_of_transformers(folder, answerer_of):
    qa = answerer_of(folder)
    answers = json.loads(str(golden_of(folder)["answers"]))
    assert len(answers) > 2
    for wanted in answers:
        context = wanted["context"]
        answer = qa.answer(wanted["question"], context, max_answer_len=8)
        assert (answer.start, answer.end) == (wanted["start"], wanted["end"])
        assert context[answer.start : answer.end] == answer.text
        assert answer.text == answer.text.strip()
        assert answer.score == pytest.approx(wanted["score"], rel=1e-3)


@families
def test_all_answers_are_different_spans_of_the_context(folder, answerer_of):
    qa = answerer_of(folder)
    context = "  Zoe\u0301 saw the 👩\u200d🚀,  the 👍🏽 and 東京 . "
    answers = qa.answer("Who?", context, top_k=40)
    assert len(answers) > 10
    assert len({(answer.start, answer.end) for answer in answers}) == len(answers)
    for answer in answers:
        assert answer.text
        assert context[answer.start : answer.end] == answer.text == answer.text.strip()
        assert answer.text[0] not in "\u0301\u200d🏽"
        assert context[answer.end : answer.end + 1] not in ("\u0301", "\u200d", "🏽")


# What a checkpoint of these families may also look like.


def changed(name: str, change) -> Checkpoint:
    """A checkpoint with its tensors renamed or replaced: `change` gets (name, array) and returns the new pairs."""
    source = read_checkpoint(folder_of(name))
    tensors = dict(pair for item in source.tensors.items() for pair in change(*item))
    return replace(source, tensors=tensors)


LAYOUT = pytest.mark.parametrize(
    ("name", "prefix"),
    [("roberta", "roberta."), ("xlm-roberta", "roberta."), ("distilbert", "distilbert."), ("electra", "electra.")],
)


@LAYOUT
def test_a_checkpoint_without_the_prefix_reads_alike(name, prefix):
    bare = changed(name, lambda key, array: [(key.removeprefix(prefix), array)])
    assert not any(key.startswith(prefix) for key in bare.tensors)
    encoder = read_encoder(bare)
    assert worst_difference(folder_of(name), lambda inputs: reference_logits(encoder, inputs)) <= TOLERANCE


@LAYOUT
def test_parts_of_other_heads_are_left_out_and_unknown_ones_named(name, prefix, caplog):
    source = read_checkpoint(folder_of(name))
    known = {
        f"{prefix}embeddings.position_ids": np.arange(98)[None],
        "roberta": {"lm_head.dense.weight": 0, f"{prefix}pooler.dense.bias": 0},
        "distilbert": {"vocab_transform.weight": 0, "vocab_layer_norm.bias": 0, "pre_classifier.bias": 0},
        "electra": {"discriminator_predictions.dense.weight": 0, "generator_lm_head.bias": 0},
    }
    extra = {f"{prefix}embeddings.position_ids": np.arange(98)[None]}
    extra |= dict.fromkeys(known[prefix.rstrip(".")], np.zeros(3, np.float32))
    with caplog.at_level(logging.WARNING):
        read_encoder(replace(source, tensors=source.tensors | extra))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        read_encoder(replace(source, tensors=source.tensors | {f"{prefix}adapter.weight": np.zeros(3, np.float32)}))
    assert [record.getMessage().count(f"{prefix}adapter.weight") for record in caplog.records] == [1]


@LAYOUT
def test_all_problems_are_reported_at_once(name, prefix):
    lost = "layer.0.attention.q_lin.weight" if name == "distilbert" else "layer.0.attention.self.query.weight"

    def change(key, array):
        if key.endswith(lost):
            return []
        if key.endswith("qa_outputs.weight"):
            return [(key, array[:1])]
        if key.endswith("word_embeddings.weight"):
            return [(key, np.full_like(array, np.nan))]
        return [(key, array)]

    with pytest.raises(CheckpointError) as caught:
        read_encoder(changed(name, change))
    message = str(caught.value)
    assert f"{lost}: missing" in message
    assert "qa_outputs.weight: got 1x24, wanted 2x24" in message
    assert "NaN" in message
    # The neighbours of what is missing are not accused.
    assert message.count("attention") == 1


def test_pruned_heads_are_read_from_the_rows():
    assert [layer.attention.heads for layer in encoder_of(folder_of("roberta")).layers] == [3, 2]
    assert [layer.attention.heads for layer in encoder_of(folder_of("distilbert-pruned")).layers] == [4, 2, 4]
    source = read_checkpoint(folder_of("roberta"))
    silent = {key: value for key, value in source.config.items() if key != "pruned_heads"}
    assert [layer.attention.heads for layer in read_encoder(replace(source, config=silent)).layers] == [3, 2]
    # A head of 24 / 4 = 6 keeps its scale, however few are left.
    assert all(layer.attention.scale == pytest.approx(6**-0.5) for layer in read_encoder(source).layers)


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        ("xlm-roberta", "layer.1.intermediate.dense", "layer.1.output.dense"),
        ("distilbert", "layer.1.ffn.lin1", "layer.1.ffn.lin2"),
        ("electra", "layer.1.intermediate.dense", "layer.1.output.dense"),
    ],
)
def test_a_narrowed_feed_forward_block_computes_what_is_left(name, up, down):
    """Neurons whose outgoing weights are zero play no part: the model without them is the same model."""
    kept = np.arange(0, 40, 3)

    def silence(key, array):
        if key.endswith(f"{down}.weight"):
            array = np.where(np.isin(np.arange(40), kept), array, 0)
        return [(key, array)]

    def narrow(key, array):
        if key.endswith((f"{up}.weight", f"{up}.bias")):
            array = array[kept]
        if key.endswith(f"{down}.weight"):
            array = array[:, kept]
        return [(key, array)]

    whole, narrowed = read_encoder(changed(name, silence)), read_encoder(changed(name, narrow))
    assert [block.width for layer in narrowed.layers[:2] for block in layer.feed_forwards] == [40, len(kept)]
    random = np.random.default_rng(3)
    inputs = {role: np.zeros((2, 9), np.int64) for role in INPUT_ROLES}
    inputs |= {"input_ids": random.integers(5, 300, (2, 9)), "attention_mask": np.ones((2, 9), np.int64)}
    inputs["position_ids"] = np.broadcast_to(np.arange(9), (2, 9))
    for got, wanted in zip(run_graph(narrowed)(inputs), run_graph(whole)(inputs), strict=True):
        assert np.abs(got - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max())


def test_the_position_offset_follows_the_padding_id():
    """Two more unused rows in front and a padding id two higher are the same model."""
    source = changed(
        "xlm-roberta",
        lambda key, array: [
            (
                key,
                np.concatenate([array[:1] * 9] * 2 + [array]) if key.endswith("position_embeddings.weight") else array,
            )
        ],
    )
    config = source.config | {"pad_token_id": 3, "max_position_embeddings": 100}
    encoder = read_encoder(replace(source, config=config))
    assert (encoder.embeddings.position_offset, encoder.longest_input) == (4, 96)
    assert worst_difference(folder_of("xlm-roberta"), lambda inputs: reference_logits(encoder, inputs)) <= TOLERANCE


def test_a_position_table_shorter_than_its_offset_is_refused():
    source = read_checkpoint(folder_of("xlm-roberta"))
    with pytest.raises(CheckpointError, match="max_position_embeddings"):
        read_encoder(replace(source, config=source.config | {"pad_token_id": 200}))


def test_what_the_manifest_says_of_the_families():
    roberta, camembert = encoder_of(folder_of("roberta")), encoder_of(folder_of("camembert"))
    distilbert, electra = encoder_of(folder_of("distilbert")), encoder_of(folder_of("electra"))
    assert [e.family for e in (roberta, camembert, distilbert, electra)] == [
        "roberta",
        "camembert",
        "distilbert",
        "electra",
    ]
    assert [e.token_types for e in (roberta, camembert, distilbert, electra)] == [1, 1, 0, 2]
    assert [e.longest_input for e in (roberta, camembert, distilbert, electra)] == [96] * 4
    assert [e.hidden for e in (roberta, camembert, distilbert, electra)] == [24] * 4
    # Too small to be seen in the logits.
    assert [e.layers[1].attention_norm.epsilon for e in (roberta, camembert, distilbert, electra)] == [
        1e-5,
        1e-5,
        1e-12,
        1e-12,
    ]
    assert electra.embeddings.projection is not None
    assert electra.embeddings.projection.inputs == 16
    assert encoder_of(folder_of("electra-wide")).embeddings.projection is None
