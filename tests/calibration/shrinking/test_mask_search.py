"""Which heads and neurons stay, against trying every choice."""

import itertools

import numpy as np
import pytest

from calibration.shrinking.mask_gradients import fisher_diagonal, fisher_matrix
from calibration.shrinking.mask_search import choose_options, rearrange, search_masks
from calibration.shrinking.structure_costs import StructureCosts, multiply_add_costs, width_options
from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.ir.counting import count
from converters.ir.graph import build_graph


def best_of_all(costs, losses, budget):
    """The least loss of all choices that are cheap enough; None if none is."""
    found = [
        sum(loss[option] for loss, option in zip(losses, options, strict=True))
        for options in itertools.product(*(range(len(cost)) for cost in costs))
        if sum(cost[option] for cost, option in zip(costs, options, strict=True)) <= budget
    ]
    return min(found, default=None)


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_as_good_as_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 6, 5)
    # Neither rises steadily, as measured times do not.
    costs = [random.uniform(0, 10, size) for size in sizes]
    losses = [random.uniform(0, 1, size) for size in sizes]
    cheapest, dearest = sum(map(np.min, costs)), sum(map(np.max, costs))
    for share in (0, 0.2, 0.5, 0.9, 1):
        budget = cheapest + share * (dearest - cheapest) + 1e-9
        chosen = choose_options(costs, losses, budget)
        assert sum(cost[option] for cost, option in zip(costs, chosen, strict=True)) <= budget
        loss = sum(loss[option] for loss, option in zip(losses, chosen, strict=True))
        assert loss == pytest.approx(best_of_all(costs, losses, budget))


def test_what_is_too_cheap_for_every_choice_is_refused():
    with pytest.raises(ValueError, match="the cheapest choice costs 5, more than 4"):
        choose_options([np.array([2.0, 9.0]), np.array([3.0])], [np.zeros(2), np.zeros(1)], 4)


def test_a_thinned_front_is_near_the_best_and_within_the_budget(monkeypatch):
    monkeypatch.setattr("calibration.shrinking.mask_search._STEPS", 500)
    random = np.random.default_rng(3)
    costs = [np.cumsum(random.uniform(0, 1, 12)) for _ in range(5)]
    losses = [np.cumsum(random.uniform(0, 1, 12))[::-1] for _ in range(5)]
    budget = 15.0
    chosen = choose_options(costs, losses, budget)
    assert sum(cost[option] for cost, option in zip(costs, chosen, strict=True)) <= budget
    loss = sum(loss[option] for loss, option in zip(losses, chosen, strict=True))
    assert loss <= best_of_all(costs, losses, budget) * 1.01


def table(**changes) -> StructureCosts:
    """Two layers of 2 heads and 4 neurons; the second neuron pair of a layer costs nothing more."""
    values = {
        "unit": "ms",
        "base": 1.0,
        "heads": ((0.0, 1.0, 2.0), (0.0, 1.0, 2.0)),
        "width_options": ((0, 2, 4), (0, 2, 4)),
        "widths": ((0.0, 3.0, 3.0), (0.0, 1.0, 3.0)),
    }
    return StructureCosts(**(values | changes))


def test_the_highest_scores_stay():
    heads = [np.array([5.0, 1.0]), np.array([0.2, 4.0])]
    neurons = [np.array([9.0, 9.0, 9.0, 9.0]), np.array([0.1, 0.4, 0.2, 0.3])]
    costs = table()
    assert (costs.dense, costs.least) == (11.0, 1.0)
    # By hand: 11 - 8.5 must go. Width 2 in layer 1 saves 2 for 0.3, head 0 of layer 1 saves 1 for 0.2.
    masks = search_masks(heads, neurons, costs, 8.5)
    assert [mask.tolist() for mask in masks.heads] == [[True, True], [False, True]]
    assert [mask.tolist() for mask in masks.neurons] == [[True] * 4, [False, True, False, True]]
    assert (masks.head_counts, masks.widths) == ((2, 1), (4, 2))
    assert costs.of(masks.head_counts, masks.widths) == 8.0


def test_a_whole_layer_can_go_and_everything():
    heads, neurons = [np.ones(2), np.ones(2)], [np.zeros(4), np.ones(4)]
    masks = search_masks(heads, neurons, table(), 8.0)
    assert masks.widths == (0, 4)
    none = search_masks(heads, neurons, table(), 1.0)
    assert (none.head_counts, none.widths) == ((0, 0), (0, 0))
    with pytest.raises(ValueError, match="cheapest"):
        search_masks(heads, neurons, table(), 0.9)


def quadratic_loss(mask: np.ndarray, fisher: np.ndarray) -> float:
    """The loss of a mask to second order: the sum of its layer's Fisher matrix over what goes."""
    return float(fisher[np.ix_(~mask, ~mask)].sum())


def test_costs_between_two_widths_lie_on_a_line():
    assert table().of((0, 0), (1, 3)) == 1.0 + 1.5 + 2.0


@pytest.mark.parametrize("seed", range(10))
def test_rearranging_never_raises_the_quadratic_loss(seed):
    random = np.random.default_rng(seed)
    # Correlated gradients, so that the diagonal alone misleads.
    gradients = (random.normal(size=(30, 4)) @ random.normal(size=(4, 10)) + 0.1).astype(np.float32)
    fisher = fisher_matrix(gradients)
    np.testing.assert_allclose(np.diag(fisher), fisher_diagonal(gradients))
    order = np.argsort(fisher_diagonal(gradients))
    for stay in range(11):
        mask = np.ones(10, bool)
        mask[order[: 10 - stay]] = False
        after = rearrange(mask, fisher)
        assert after.sum() == stay
        before, least = quadratic_loss(mask, fisher), quadratic_loss(after, fisher)
        assert least <= before + 1e-12
        # No single swap is left that would lower it: recounted swap by swap.
        for gone, kept in itertools.product(np.flatnonzero(~after), np.flatnonzero(after)):
            swapped = after.copy()
            swapped[[gone, kept]] = [True, False]
            assert quadratic_loss(swapped, fisher) >= least - 1e-9 * np.trace(fisher)
        # The loss is the mean square of the summed gradients of what goes.
        assert least == pytest.approx(np.mean(gradients[:, ~after].astype(float).sum(axis=1) ** 2), abs=1e-9)


def test_rearranging_finds_what_the_diagonal_misses():
    # 0 and 1 cancel, 2 and 3 add up: the diagonal would drop 2 and 3.
    gradients = np.array([[1.1, -1.1, 1, 1, 5], [-1.1, 1.1, 1, 1, 5]], np.float32)
    after = rearrange(np.array([True, True, False, False, True]), fisher_matrix(gradients))
    assert after.tolist() == [False, False, True, True, True]


def test_widths_are_multiples_of_16_and_the_whole():
    assert width_options(48) == (0, 16, 32, 48)
    assert width_options(40) == (0, 16, 32, 40)


def test_multiply_adds_are_those_of_the_graph(checkpoint):
    encoder = read_encoder(read_checkpoint(checkpoint))
    costs = multiply_add_costs(encoder, 384)
    head = 2 * 384 * 384  # the two logits
    assert costs.dense + head == count(build_graph(encoder)).multiply_adds
    # One head of 32 by hand: four matrices of 384 x 32 for each token, 2 x 32 for each pair of tokens.
    assert costs.heads[0][1] == 4 * 384 * 32 * 384 + 2 * 32 * 384**2
    assert costs.of((0,) * 6, (16,) + (0,) * 5) == 2 * 16 * 384 * 384
