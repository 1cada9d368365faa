"""Which blocks a least squares needs least: against the search written out, every error by lstsq."""

import numpy as np
import pytest

from calibration.sparsity import elimination
from calibration.sparsity.elimination import eliminate, removal_order
from calibration.sparsity.refitting import prune_linear
from calibration.statistics.least_squares import Moments
from converters.model.encoder import Linear


def drawn(inputs: int, outputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs a (tokens, in) that hang together, and targets t (tokens, out) that are no function of them."""
    random = np.random.default_rng(seed)
    a = random.normal(size=(300, inputs)) @ random.normal(size=(inputs, inputs))
    return a, a @ random.normal(size=(inputs, outputs)) + random.normal(size=(300, outputs))


def fitted(a: np.ndarray, t: np.ndarray, stays: np.ndarray) -> tuple[np.ndarray, float]:
    """The least squares of t on some of the inputs, (in, outputs), and its error."""
    weight = np.zeros((a.shape[1], t.shape[1]))
    weight[stays] = np.linalg.lstsq(a[:, stays], t, rcond=None)[0]
    return weight, float(((t - a @ weight) ** 2).sum()) / len(a)


def written_out(a: np.ndarray, t: np.ndarray, block: tuple[int, int], count: int) -> np.ndarray:
    """Which weights (out, in) stay: each group gives up its blocks one by one, then the cheapest go, of all."""
    height, width = block
    steps = []  # (growth, group, how many before it)
    orders = []
    for group in range(t.shape[1] // height):
        targets = t[:, group * height : (group + 1) * height]
        stays = np.ones(a.shape[1], bool)
        blocks = list(range(a.shape[1] // width))
        order, error, most = [], fitted(a, targets, stays)[1], 0.0
        while blocks:
            errors = {}
            for number in blocks:
                without = stays.copy()
                without[number * width : (number + 1) * width] = False
                errors[number] = fitted(a, targets, without)[1]
            least = min(errors, key=errors.__getitem__)
            most = max(most, errors[least] - error)
            error = errors[least]
            steps.append((most, group, len(order)))
            order.append(least)
            stays[least * width : (least + 1) * width] = False
            blocks.remove(least)
        orders.append(order)
    mask = np.ones((t.shape[1], a.shape[1]), bool)
    for _, group, place in sorted(steps)[:count]:
        number = orders[group][place]
        mask[group * height : (group + 1) * height, number * width : (number + 1) * width] = False
    return mask


@pytest.mark.parametrize(("block", "inputs", "outputs"), [((4, 1), 14, 12), ((1, 1), 10, 5), ((2, 3), 18, 6)])
@pytest.mark.parametrize("ratio", [0.25, 0.8])
def test_it_is_the_greedy_search(block, inputs, outputs, ratio):
    a, t = drawn(inputs, outputs)
    count = int(ratio * inputs * outputs / (block[0] * block[1]) + 0.5)  # halves round up
    wanted = written_out(a, t, block, count)
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), np.ones((outputs, inputs), bool), block, ratio)
    np.testing.assert_array_equal(mask, wanted)
    assert (~mask).sum() == count * block[0] * block[1]
    for row in range(outputs):
        np.testing.assert_allclose(weight[row], fitted(a, t[:, [row]], mask[row])[0][:, 0], rtol=1e-6, atol=1e-9)


def test_many_inputs_go_some_at_a_time_and_lose_what_they_would_one_by_one(monkeypatch):
    a, t = drawn(100, 8)
    covariance, cross, there = a.T @ a / len(a), a.T @ t / len(a), np.ones((8, 100), bool)
    weight, mask = eliminate(covariance, cross, there, (4, 1), 0.8)
    assert (~mask).sum() == 0.8 * 800
    np.testing.assert_array_equal(weight != 0, mask)
    error = ((t - a @ weight.T) ** 2).sum() / len(a)
    monkeypatch.setattr(elimination, "_ROUNDS", 100)
    slow, _ = eliminate(covariance, cross, there, (4, 1), 0.8)
    assert error < 1.02 * ((t - a @ slow.T) ** 2).sum() / len(a)
    # Far below the error of the same number of inputs that were chosen by nothing.
    random = np.random.default_rng(1)
    blind = sum(fitted(a, t[:, i : i + 4], random.permutation(100) < 20)[1] for i in (0, 4))
    assert error < 0.7 * blind


def test_what_each_block_costs_adds_up_to_the_error():
    a, t = drawn(100, 4)
    covariance, cross = a.T @ a / len(a), a.T @ t / len(a)
    found = removal_order(np.linalg.inv(covariance), np.linalg.solve(covariance, cross).T, 1, np.ones(100, bool))
    whole = fitted(a, t, np.ones(100, bool))[1]
    for count in (1, 7, 50, 100):
        stays = np.ones(100, bool)
        stays[found.order[:count]] = False
        assert found.growth[:count].sum() == pytest.approx(fitted(a, t, stays)[1] - whole, rel=1e-6)


def test_growth_that_falls_counts_as_what_came_before():
    # By hand, two inputs of variance 1 and correlation -0.9. The first output is x0 + x1: the first that goes costs
    # 1 - 0.9^2 = 0.19, the other one then 0.2 - 0.19 = 0.01, together the output's variance 2 - 1.8 = 0.2. The
    # second output is 0.3 x2, of which x2 costs 0.09. Two of six go: x0 and x1 of the second output cost nothing.
    # Three: x2 of the second, 0.09, and not the 0.01, which has 0.19 before it.
    covariance = np.array([[1, -0.9, 0], [-0.9, 1, 0], [0, 0, 1.0]])
    cross = covariance @ np.array([[1, 1, 0], [0, 0, 0.3]]).T
    there = np.array([[True, True, False], [True, True, True]])
    # One place is not there to begin with, and counts.
    _, mask = eliminate(covariance, cross, there, (1, 1), 4 / 6)
    np.testing.assert_array_equal(mask, [[True, True, False], [False, False, False]])
    _, mask = eliminate(covariance, cross, there, (1, 1), 5 / 6)
    assert mask.sum() == 1
    assert mask[0, :2].sum() == 1


@pytest.mark.parametrize("height", [1, 4])
def test_what_was_zero_stays_zero_and_counts(height):
    a, t = drawn(12, 8)
    there = np.random.default_rng(5).random((8, 12)) < 0.7
    there[:4, 3] = False
    there[6] = False
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), there, (height, 1), 0.5)
    assert not (mask & ~there).any()
    assert not weight[~there].any()
    for row in range(8):
        np.testing.assert_allclose(weight[row], fitted(a, t[:, [row]], mask[row])[0][:, 0], rtol=1e-6, atol=1e-9)
    gone = (~mask).reshape(-1, height, 12).all(axis=1)
    assert gone.sum() == 48 / height
    # A ratio below what is zero already takes nothing.
    _, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), there, (height, 1), 0.01)
    np.testing.assert_array_equal(mask, there)


def test_outputs_and_inputs_that_make_no_block_keep_their_weights():
    a, t = drawn(11, 6)
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), np.ones((6, 11), bool), (4, 3), 0.5)
    assert mask[4:].all()
    assert mask[:, 9:].all()
    assert (~mask).sum() == 12 * round(0.5 * 66 / 12)
    np.testing.assert_allclose(weight[5], fitted(a, t[:, [5]], mask[5])[0][:, 0], rtol=1e-6)


@pytest.mark.parametrize("half", [20, 96])
def test_inputs_that_tell_the_same_cost_nothing(half):
    random = np.random.default_rng(0)
    told = random.normal(2, 1, (1000, half)).astype(np.float32)
    a = np.hstack([told, told])
    linear = Linear(random.normal(size=(8, 2 * half)).astype(np.float32), random.normal(size=8).astype(np.float32))
    t = a @ linear.weight.T + linear.bias
    moments = Moments(2 * half, 8)
    moments.add(a, t)
    small, mask = prune_linear(linear, moments, (4, 1), 0.5)
    assert (~mask).mean() == 0.5
    assert small.weight.dtype == small.bias.dtype == np.float32
    error = ((t - a @ small.weight.T - small.bias) ** 2).mean() / t.var(axis=0).mean()
    assert error < 1e-3
    plain = ((t - a @ np.where(mask, linear.weight, 0).T - linear.bias) ** 2).mean() / t.var(axis=0).mean()
    assert plain > 0.3


def test_large_means_do_not_hide_what_varies():
    random = np.random.default_rng(0)
    a = (1000 + random.normal(size=(4096, 64))).astype(np.float32)
    linear = Linear(random.normal(size=(8, 64)).astype(np.float32), np.zeros(8, np.float32))
    t = a @ linear.weight.T
    errors = []
    for shift in (0, 1000):
        moments = Moments(64, 8)
        for part in np.split(a - np.float32(shift), 4):
            moments.add(part, part @ linear.weight.T)
        small, _ = prune_linear(linear, moments, (4, 1), 0.25)
        left = t - np.float64(a) @ small.weight.T
        errors.append(left.var(axis=0).sum() / t.var(axis=0).sum())
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
    assert errors[0] < 0.15


def test_the_bias_is_that_of_the_weight_as_it_is_stored():
    random = np.random.default_rng(0)
    a = (50 + random.normal(size=(500, 16))).astype(np.float32)
    linear = Linear(random.normal(size=(4, 16)).astype(np.float16), np.zeros(4, np.float32))
    moments = Moments(16, 4)
    moments.add(a, a @ linear.weight.T.astype(np.float32))
    small, _ = prune_linear(linear, moments, (4, 1), 0.25)
    assert small.weight.dtype == np.float16
    left = a @ (linear.weight.astype(np.float64) - small.weight).T - small.bias
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-4)


def test_weights_are_pulled_a_hundredth_towards_what_they_were():
    # By hand: a = -1, 1 has variance 1; t = 3 a, the weight is 1 and none goes: (3 + 0.01 * 1) / (1 + 0.01).
    moments = Moments(1, 1)
    moments.add(np.array([[-1], [1]], np.float32), np.array([[-3], [3]], np.float32))
    small, mask = prune_linear(Linear(np.ones((1, 1)), np.zeros(1)), moments, (1, 1), 0.1)
    assert mask.all()
    assert small.weight.item() == pytest.approx(3.01 / 1.01)


def test_a_linear_without_inputs_gives_the_mean():
    moments = Moments(0, 2)
    moments.add(np.zeros((3, 0), np.float32), np.array([[1, 2], [3, 2], [5, 8]], np.float32))
    small, _ = prune_linear(Linear(np.zeros((2, 0), np.float32), np.zeros(2, np.float32)), moments, (4, 1), 0.5)
    np.testing.assert_allclose(small.bias, [3, 4])


def test_an_input_that_is_always_the_same_goes_into_the_bias():
    # By hand: x0 is 3 always, so 2 * x0 is 6 for the bias; x1 is needed.
    a = np.array([[3, 1], [3, -1], [3, 2], [3, -2]], np.float32)
    linear = Linear(np.array([[2, 5]], np.float32), np.array([1], np.float32))
    moments = Moments(2, 1)
    moments.add(a, a @ linear.weight.T + linear.bias)
    small, _ = prune_linear(linear, moments, (1, 1), 0.5)
    np.testing.assert_allclose(small.weight, [[0, 5]], atol=1e-6)
    np.testing.assert_allclose(small.bias, [7], atol=1e-5)
