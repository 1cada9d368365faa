"""Token dropping in the graph against its numpy statement, and the statement against hand work."""

from dataclasses import replace

import numpy as np
import pytest

from converters.ir.bundle_encoder import read_back
from converters.ir.graph import build_graph
from converters.model.encoder import Encoder
from converters.token_budgets.reference import token_dropping_logits
from converters.token_budgets.token_dropping import Keep, drop_tokens, kept_tokens
from converters.verification.reference import apply_layer, apply_linear, embed, reference_logits
from converters.verification.verify import TOLERANCE, relative_difference, seeded_inputs
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import OUTPUT_ROLES
from edge_qa.errors import BundleError, InputError
from tests.support.encoders import ENCODERS, bottleneck_layer, embeddings, encoder, layer

RANDOM = np.random.default_rng(5)
DROPPERS = {
    "plain": encoder(layer(4, 24), layer(3, 24), layer(2, 16)),
    "a layer without heads between": encoder(layer(4, 24), layer(0, 24), layer(2, 16)),
    "a layer without neurons": encoder(layer(4, 24), layer(2, 0), layer(2, 16)),
    "several blocks": encoder(layer(2, 16, 12, 16), layer(4, 8), layer(4, 8)),
    "no token types": encoder(layer(4, 24), layer(4, 24), layer(2, 8), tables=embeddings(token_type=None)),
    "bottleneck, narrow": encoder(*[bottleneck_layer("narrow") for _ in range(3)]),
    "bottleneck, shared": encoder(*[bottleneck_layer("shared") for _ in range(3)]),
    "bottleneck, whole": encoder(*[bottleneck_layer("whole") for _ in range(3)]),
    "shared layers": encoder(*[ENCODERS["shared layers"].layers[0]] * 3),
}
# (batch, tokens, of them real in the shortest row); 3 tokens are fewer than any count.
CASES = ((1, 24, 24), (1, 3, 3), (3, 24, 5), (4, 20, 19), (2, 9, 1))


def probes(model: Encoder) -> dict[int, np.ndarray]:
    return {i: RANDOM.normal(0, 1, model.hidden).astype(np.float32) for i in range(len(model.layers))}


def logits(model: "ov.Model", inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    compiled = this_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(inputs)
    return [results[role] for role in OUTPUT_ROLES]


def with_budget(model: Encoder, keep: Keep) -> "ov.Model":
    graph = build_graph(model)
    drop_tokens(graph, keep)
    return graph


@pytest.mark.parametrize("rule", ["attention", "probe"])
@pytest.mark.parametrize("shares", [(1, 1, 0.3), (0.7, 0.7, 0.2), (0.5, 0.5, 0.5)], ids=str)
@pytest.mark.parametrize("name", DROPPERS)
def test_the_graph_computes_the_statement(name, shares, rule):
    model = DROPPERS[name]
    keep = Keep(shares, step=4, probes=probes(model) if rule == "probe" else {})
    if any(model.layers[i].attention.heads == 0 for i in keep.dropping_layers):
        pytest.skip("a layer without heads cannot drop")
    graph = with_budget(model, keep)
    for inputs in seeded_inputs(model, CASES):
        wanted = token_dropping_logits(model, inputs, keep)
        assert relative_difference(logits(graph, inputs), wanted, inputs["attention_mask"].astype(bool)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["attention", "probe"])
@pytest.mark.parametrize("shares", [(1, 1, 1, 0.5, 0.5, 0.5), (0.9, 0.7, 0.6, 0.4, 0.2, 0.1)], ids=str)
def test_the_real_checkpoint_agrees_with_the_statement(fp16_bundle, shares, rule):
    bundle = Bundle.load(fp16_bundle)
    model = read_back(bundle)
    keep = Keep(shares, probes=probes(model) if rule == "probe" else {})
    graph = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    drop_tokens(graph, keep)
    for inputs in seeded_inputs(model, ((1, 100, 100), (3, 61, 20), (1, 5, 5))):
        wanted = token_dropping_logits(model, inputs, keep)
        assert relative_difference(logits(graph, inputs), wanted, inputs["attention_mask"].astype(bool)) <= TOLERANCE


@pytest.mark.parametrize("rule", ["attention", "probe"])
def test_an_example_does_not_hang_on_its_neighbours(rule):
    model = DROPPERS["plain"]
    keep = Keep((0.8, 0.5, 0.25), step=4, probes=probes(model) if rule == "probe" else {})
    graph = with_budget(model, keep)
    (batch,) = seeded_inputs(model, ((4, 24, 6),))
    together = logits(graph, batch)
    for row, mask in enumerate(batch["attention_mask"].astype(bool)):
        alone = logits(graph, {role: values[row, mask][None] for role, values in batch.items()})
        for side in range(2):
            np.testing.assert_allclose(together[side][row, mask], alone[side][0], atol=1e-4, rtol=0)


def test_what_drops_nothing_is_the_plain_graph():
    model = DROPPERS["plain"]
    plain, kept = build_graph(model), with_budget(model, Keep((1.0, 1.0, 1.0)))
    assert len(kept.get_ordered_ops()) == len(plain.get_ordered_ops())
    (inputs,) = seeded_inputs(model, ((2, 24, 11),))
    for got, wanted in zip(logits(kept, inputs), logits(plain, inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_counts_that_cover_every_token_change_nothing():
    model = DROPPERS["plain"]
    (inputs,) = seeded_inputs(model, ((1, 7, 7),))
    graph = with_budget(model, Keep((0.9, 0.9, 0.9), step=8))  # 6.3 tokens, rounded up to 8
    got, wanted = logits(graph, inputs), reference_logits(model, inputs)
    assert relative_difference(got, wanted, inputs["attention_mask"].astype(bool)) <= TOLERANCE


def test_only_layers_that_drop_rank_tokens():
    keep = Keep((0.8, 0.8, 0.5), step=4, probes=probes(DROPPERS["plain"]))
    assert keep.dropping_layers == (0, 2)
    kinds = [node.get_type_name() for node in with_budget(DROPPERS["plain"], keep).get_ordered_ops()]
    assert kinds.count("TopK") == 2


@pytest.mark.parametrize(
    ("share", "length", "step", "count"),
    [(0.5, 100, 8, 56), (0.5, 96, 8, 48), (0.3, 10, 1, 3), (0.1, 5, 8, 8), (1.0, 17, 16, 32), (0.7, 10, 1, 7)],
)
def test_counts_by_hand(share, length, step, count):
    assert kept_tokens(share, length, step) == count


def test_the_statement_by_hand():
    """One layer, a probe that ranks by the first channel: the dropped half keeps the logits of the embeddings."""
    model = encoder(layer(2, 8), tables=embeddings(token_type=None))
    (inputs,) = seeded_inputs(model, ((1, 8, 8),))
    probe = np.eye(16, dtype=np.float32)[0]
    x = embed(model, inputs)
    stay = set(np.argsort(x[0, :, 0])[4:].tolist())
    after = apply_layer(x, model.layers[0], np.ones((1, 1, 1, 8), bool), "gelu")
    start, _ = token_dropping_logits(model, inputs, Keep((0.5,), step=4, probes={0: probe}))
    early, late = apply_linear(x, model.head)[0, :, 0], apply_linear(after, model.head)[0, :, 0]
    for token in range(8):
        assert start[0, token] == pytest.approx(late[token] if token in stay else early[token], abs=1e-6)


def test_the_question_is_dropped_last():
    model = encoder(layer(2, 8), layer(2, 8))
    (inputs,) = seeded_inputs(model, ((1, 16, 16),))
    inputs["token_type_ids"] = (np.arange(16) >= 4)[None].astype(np.int64)
    keep = Keep((0.25, 0.25), step=4, probes={0: probes(model)[0]})
    start, _ = token_dropping_logits(model, inputs, keep)
    early = apply_linear(embed(model, inputs), model.head)[0, :, 0]
    changed = np.abs(start[0] - early) > 1e-6
    assert changed.tolist() == [True] * 4 + [False] * 12


def test_padding_does_not_vote():
    """Whatever stands in the padding, the real tokens' logits are the same."""
    model = DROPPERS["plain"]
    graph = with_budget(model, Keep((0.5, 0.5, 0.5), step=4))
    (inputs,) = seeded_inputs(model, ((2, 24, 10),))
    real = inputs["attention_mask"].astype(bool)
    other = dict(inputs, input_ids=np.where(real, inputs["input_ids"], 7))
    for got, wanted in zip(logits(graph, other), logits(graph, inputs), strict=True):
        np.testing.assert_array_equal(got[real], wanted[real])


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (Keep((1.0, 0.5)), "2 shares, wanted one for each of the model's 3 layers"),
        (Keep((1.0, 0.5, 0.6)), "none above the one before"),
        (Keep((1.0, 0.5, 0.0)), "each above 0"),
        (Keep((1.0, float("nan"), 0.5)), "each above 0"),
        (Keep((1.0, 0.5, 0.5), step=0), "step of 0"),
        (Keep((1.0, 0.5, 0.4), probes={1: np.zeros(4, np.float32)}), r"wanted one for each of \(1, 2\)"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(keep, message):
    with pytest.raises(InputError, match=message):
        keep.check((4, 4, 4))


def test_a_layer_without_heads_cannot_drop():
    with pytest.raises(InputError, match="layer 1 has no attention heads"):
        Keep((1.0, 0.5, 0.5)).check((4, 0, 4))


def test_a_model_with_other_names_is_refused():
    graph = build_graph(replace(DROPPERS["plain"]))
    for node in graph.get_ordered_ops():
        node.set_friendly_name(f"x{node.get_friendly_name()}")
    with pytest.raises(BundleError, match="an imported model cannot drop tokens"):
        drop_tokens(graph, Keep((1.0, 1.0, 0.5)))
