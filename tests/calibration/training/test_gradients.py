"""Gradients of the hand-written losses against finite differences, in float64."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from calibration.torch_model.model import Trace  # noqa: E402
from calibration.training.losses import (  # noqa: E402
    attention_loss,
    distillation_loss,
    hidden_loss,
    layer_map,
    span_loss,
)
from calibration.training.recipes.block_movement import spread, straight_through  # noqa: E402
from calibration.training.recipes.gates import open_probability, sampled_gate, settled_gate  # noqa: E402

pytestmark = pytest.mark.torch


def draw(*shape: int, seed: int = 0) -> "torch.Tensor":
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def assert_gradient(function, x: "torch.Tensor", tolerance: float = 1e-6) -> None:
    """Compare with central differences at every value; the gradient must not be zero everywhere."""
    x = x.clone().requires_grad_(True)
    function(x).backward()
    wanted, step = torch.zeros_like(x), 1e-5
    with torch.no_grad():
        for place in range(x.numel()):
            for sign in (1, -1):
                moved = x.detach().clone()
                moved.view(-1)[place] += sign * step
                wanted.view(-1)[place] += sign * function(moved) / (2 * step)
    assert float(wanted.abs().max()) > 1e-4
    assert torch.allclose(x.grad, wanted, atol=tolerance, rtol=1e-5)


def test_span_loss():
    targets = torch.tensor([[1, 3], [0, 2]])
    assert_gradient(lambda x: span_loss(x, targets), draw(2, 5, 2))


def test_span_loss_by_hand():
    """Two tokens, logits 0 and ln 3: the start is certain by 3/4, the end by 1/4."""
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), math.log(3)]]])
    wanted = (-math.log(3 / 4) - math.log(1 / 4)) / 2
    assert float(span_loss(logits, torch.tensor([[1, 0]]))) == pytest.approx(wanted)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_distillation_loss(temperature):
    teacher = draw(2, 5, 2, seed=1)
    assert_gradient(lambda x: distillation_loss(x, teacher, temperature), draw(2, 5, 2))


def test_distillation_loss_by_hand():
    """Teacher (3/4, 1/4), student (1/2, 1/2), at temperature 1; nothing to learn from oneself."""
    teacher = torch.tensor([[[math.log(3), math.log(3)], [0.0, 0.0]]])
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(distillation_loss(torch.zeros(1, 2, 2), teacher, 1.0)) == pytest.approx(wanted)
    assert float(distillation_loss(teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-7)


def test_hidden_loss():
    real = torch.tensor([[True, True, False], [True, False, False]])
    teacher = [draw(2, 3, 4, seed=seed) for seed in (1, 2, 3)]
    assert_gradient(lambda x: hidden_loss([x, 2 * x, -x], teacher, real), draw(2, 3, 4))


def test_layers_are_spread_over_those_of_the_teacher():
    assert layer_map(6, 12) == [0, 2, 4, 6, 8, 10, 12]
    assert layer_map(2, 2) == [0, 1, 2]
    assert layer_map(4, 2) == [0, 1, 1, 2, 2]  # no layer is like the embeddings


def test_attention_loss_counts_real_pairs_of_equal_heads_only():
    """Of two layers one differs by 1 everywhere, the other has other heads: the mean over real pairs is 1."""
    real = torch.tensor([[True, True, False]])
    base = torch.zeros(1, 2, 3, 3)
    far = base + 1
    far[..., 2] = 100  # padding
    far[..., 2, :] = 100
    own, teacher = Trace(scores=[far, torch.zeros(1, 1, 3, 3)]), Trace(scores=[base, base])
    assert float(attention_loss(own, teacher, real)) == pytest.approx(1)


@pytest.mark.parametrize("function", [open_probability, lambda a: sampled_gate(a, torch.full_like(a, 0.4))])
def test_gates(function):
    alphas = torch.tensor([-1.0, -0.3, 0.2, 0.9], dtype=torch.float64)
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    assert_gradient(lambda a: (function(a) * weights).sum(), alphas)


def test_gates_by_hand():
    """McCarley et al., section 3: zeta 1.1, gamma -0.1, beta 2/3."""
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(settled_gate(zero)) == pytest.approx(0.5)
    assert float(sampled_gate(zero, torch.full_like(zero, 0.5))) == pytest.approx(0.5)
    assert float(open_probability(zero)) == pytest.approx(1 / (1 + math.exp(2 / 3 * math.log(0.1 / 1.1))))
    assert float(settled_gate(zero - 9)) == 0
    assert float(settled_gate(zero + 9)) == 1


def test_a_sampled_gate_is_zero_as_often_as_its_penalty_says():
    alpha, uniform = torch.full((100_000,), -0.5), torch.from_numpy(np.random.default_rng(0).uniform(size=100_000))
    share = float((sampled_gate(alpha, uniform.float()) > 0).float().mean())
    assert share == pytest.approx(float(open_probability(alpha[0])), abs=0.005)


def test_the_gradient_of_a_movement_score_is_that_of_its_mask():
    """Straight through: d loss / d score is the loss's derivative by the mask's value, block for block."""
    weight, x = draw(40, 33), draw(33, seed=1)
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)

    def loss(blocks: "torch.Tensor") -> "torch.Tensor":
        return ((weight * spread(blocks, (40, 33))) @ x).square().sum()

    assert_gradient(loss, mask, 1e-4)
    by_mask = mask.clone().requires_grad_(True)
    loss(by_mask).backward()
    scores = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    value = loss(straight_through(scores, mask))
    value.backward()
    assert float(value.detach()) == pytest.approx(float(loss(mask)))
    assert torch.equal(scores.grad, by_mask.grad)
