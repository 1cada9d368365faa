"""Gradients of masks: the forward pass against the numpy reference, the gradients against finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.data.answered_windows import AnsweredWindow
from calibration.shrinking.mask_search import Masks
from calibration.shrinking.shrink import shrink
from calibration.shrinking.shrinker import cut
from calibration.shrinking.structure_costs import multiply_add_costs
from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.model.encoder import Encoder, Linear
from converters.verification.reference import reference_logits
from converters.verification.verify import TOLERANCE
from edge_qa.text.windows import Window
from tests.support.places import ROOT

torch = pytest.importorskip("torch")
fisher = pytest.importorskip("calibration.shrinking.fisher")
TorchEncoder = pytest.importorskip("calibration.torch_model.model").TorchEncoder

pytestmark = pytest.mark.torch

FAMILIES = ROOT / "tests" / "golden" / "families"
NAMES = ["camembert", "distilbert", "distilbert-pruned", "electra", "electra-wide", "roberta", "xlm-roberta"]


def encoder_of(family: str) -> Encoder:
    return read_encoder(read_checkpoint(FAMILIES / family))


def window(encoder: Encoder, tokens: int, spans: list[list[int]], seed: int = 0) -> AnsweredWindow:
    random = np.random.default_rng(seed)
    types = (np.arange(tokens) > tokens // 3) & (encoder.token_types > 1)
    ids = random.integers(5, encoder.vocabulary, tokens)
    return AnsweredWindow(Window(ids, types.astype(np.int64), 0, 0, np.zeros((tokens, 2), np.int64)), np.array(spans))


def contract(item: AnsweredWindow) -> dict[str, np.ndarray]:
    tokens = item.window.tokens
    return {
        "input_ids": item.window.input_ids[None],
        "attention_mask": np.ones((1, tokens), np.int64),
        "token_type_ids": item.window.token_type_ids[None],
        "position_ids": np.arange(tokens)[None],
    }


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("masked", [False, True])
def test_the_forward_pass_is_that_of_the_reference(family, masked):
    """A mask of 0 is as good as a removed head or neuron; the shorter of two windows is padded."""
    encoder = encoder_of(family)
    items = [window(encoder, tokens, [[1, 1]], tokens) for tokens in (17, 9)]
    masks = fisher.ones(encoder, 2)
    stays = [
        tuple(np.arange(mask.shape[1]) % 3 != 1 if masked else np.ones(mask.shape[1], bool) for mask in pair)
        for pair in masks
    ]
    if masked:
        masks = [tuple(torch.tensor(np.tile(stay, (2, 1)), dtype=torch.float32) for stay in pair) for pair in stays]
    small = cut(encoder, Masks(*map(tuple, zip(*stays, strict=True))))
    ids, types = np.zeros((2, 2, 17), np.int64)
    for row, item in enumerate(items):
        tokens = item.window.tokens
        ids[row, :tokens], types[row, :tokens] = item.window.input_ids, item.window.token_type_ids
    with torch.no_grad():
        lengths = torch.tensor([item.window.tokens for item in items])
        got = TorchEncoder(encoder)(torch.from_numpy(ids), torch.from_numpy(types), lengths, gates=masks).unbind(-1)
    for row, item in enumerate(items):
        for side, wanted in zip(got, reference_logits(small, contract(item)), strict=True):
            found = side[row, : item.window.tokens].numpy()
            assert np.abs(found - wanted[0]).max() / max(1, np.abs(wanted).max()) <= TOLERANCE
            assert (side[row, item.window.tokens :] <= -1e4).all()


def loss_of(encoder: Encoder, item: AnsweredWindow) -> float:
    """-log of the probability of the answer's places, by the reference."""
    start, end = (side[0].astype(np.float64) for side in reference_logits(encoder, contract(item)))
    logs = [side - np.log(np.exp(side - side.max()).sum()) - side.max() for side in (start, end)]
    return -float(np.log(sum(np.exp(logs[0][first] + logs[1][last]) for first, last in item.spans)))


def scaled(encoder: Encoder, layer: int, part: str, place: int, factor: float) -> Encoder:
    """The encoder with what one head or one neuron adds multiplied by a factor."""
    whole = encoder.layers[layer]
    output = whole.attention.output if part == "heads" else whole.feed_forwards[0].down
    size = whole.attention.value_size if part == "heads" else 1
    weight = output.weight.astype(np.float64)
    weight[:, place * size : (place + 1) * size] *= factor
    changed = Linear(weight.astype(np.float32), output.bias)
    if part == "heads":
        whole = replace(whole, attention=replace(whole.attention, output=changed))
    else:
        whole = replace(whole, feed_forwards=(replace(whole.feed_forwards[0], down=changed),))
    return replace(encoder, layers=(*encoder.layers[:layer], whole, *encoder.layers[layer + 1 :]))


@pytest.mark.parametrize("family", ["distilbert", "electra", "roberta"])
def test_gradients_are_finite_differences(family):
    encoder = encoder_of(family)
    items = [window(encoder, 15, [[3, 4], [7, 7]]), window(encoder, 9, [[2, 2]], 1), window(encoder, 12, [[5, 8]], 2)]
    gradients = fisher.mask_gradients(encoder, items)
    step, checked = 0.01, 0

    def difference(layer, part, place, item):
        """Of fourth order: the loss bends sharply."""
        at = {d: loss_of(scaled(encoder, layer, part, place, 1 + d * step), item) for d in (-2, -1, 1, 2)}
        return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)

    for row, item in enumerate(items):
        for layer in range(len(encoder.layers)):
            for part, values in (("heads", gradients.heads[layer]), ("neurons", gradients.neurons[layer])):
                assert values.shape[0] == 3
                for place in np.argsort(-np.abs(values[row]))[:3]:
                    wanted = difference(layer, part, place, item)
                    assert values[row, place] == pytest.approx(wanted, rel=0.02, abs=2e-3)
                    checked += abs(wanted) > 0.01
    assert checked > 10  # most are not nothing


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fisher", "full"])
def test_a_real_checkpoint_shrinks_and_answers(checkpoint, questions, tmp_path, method, monkeypatch):
    table = lambda encoder, tokens, precision: multiply_add_costs(encoder, tokens)  # noqa: E731
    monkeypatch.setattr("calibration.shrinking.shrink.measure_costs", table)
    result = shrink(checkpoint, tmp_path / "small", calibration=questions, speedup=1.2, samples=16, method=method)
    assert result.structure.changed
    assert result.timing.predicted >= 1.2
    convert(result.path, tmp_path / "bundle")
