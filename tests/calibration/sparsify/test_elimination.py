"""Which blocks a least squares needs least: against the search written out, every error by lstsq."""

import numpy as np
import pytest

from calibration.least_squares import Moments
from calibration.sparsity.elimination import eliminate
from calibration.sparsity.refitting import prune_linear
from converters.encoder import Linear


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
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), block, ratio)
    np.testing.assert_array_equal(mask, wanted)
    assert (~mask).sum() == count * block[0] * block[1]
    for row in range(outputs):
        np.testing.assert_allclose(weight[row], fitted(a, t[:, [row]], mask[row])[0][:, 0], rtol=1e-6, atol=1e-9)


def test_many_inputs_go_some_at_a_time_and_the_count_is_exact():
    a, t = drawn(100, 8)
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), (4, 1), 0.8)
    assert (~mask).sum() == 0.8 * 800
    np.testing.assert_array_equal(weight != 0, mask)
    # Far below the error of the same number of inputs that were chosen by nothing.
    random = np.random.default_rng(1)
    blind = sum(fitted(a, t[:, i : i + 4], random.permutation(100) < 20)[1] for i in (0, 4))
    assert ((t - a @ weight.T) ** 2).sum() / len(a) < 0.7 * blind


def test_outputs_and_inputs_that_make_no_block_keep_their_weights():
    a, t = drawn(11, 6)
    weight, mask = eliminate(a.T @ a / len(a), a.T @ t / len(a), (4, 3), 0.5)
    assert mask[4:].all()
    assert mask[:, 9:].all()
    assert (~mask).sum() == 12 * round(0.5 * 66 / 12)
    np.testing.assert_allclose(weight[5], fitted(a, t[:, [5]], mask[5])[0][:, 0], rtol=1e-6)


def test_inputs_that_tell_the_same_cost_nothing():
    random = np.random.default_rng(0)
    half = random.normal(2, 1, (500, 20)).astype(np.float32)
    a = np.hstack([half, half])
    linear = Linear(random.normal(size=(8, 40)).astype(np.float32), random.normal(size=8).astype(np.float32))
    t = a @ linear.weight.T + linear.bias
    moments = Moments(40, 8)
    moments.add(a, t)
    small, mask = prune_linear(linear, moments, (4, 1), 0.5)
    assert (~mask).mean() == 0.5
    assert small.weight.dtype == small.bias.dtype == np.float32
    error = ((t - a @ small.weight.T - small.bias) ** 2).mean() / t.var(axis=0).mean()
    assert error < 1e-3
    plain = ((t - a @ np.where(mask, linear.weight, 0).T - linear.bias) ** 2).mean() / t.var(axis=0).mean()
    assert plain > 0.3


def test_an_input_that_is_always_the_same_goes_into_the_bias():
    # By hand: x0 is 3 always, so 2 * x0 is 6 for the bias; x1 is needed.
    a = np.array([[3, 1], [3, -1], [3, 2], [3, -2]], np.float32)
    linear = Linear(np.array([[2, 5]], np.float32), np.array([1], np.float32))
    moments = Moments(2, 1)
    moments.add(a, a @ linear.weight.T + linear.bias)
    small, _ = prune_linear(linear, moments, (1, 1), 0.5)
    np.testing.assert_allclose(small.weight, [[0, 5]], atol=1e-6)
    np.testing.assert_allclose(small.bias, [7], atol=1e-5)
