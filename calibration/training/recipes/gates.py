"""Hard-concrete gates (Louizos et al. 2018, arXiv 1712.01312; McCarley et al. 2019, arXiv 1910.06360)."""

import math
from typing import TypeAlias

from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor
ZETA, GAMMA, BETA = 1.1, -0.1, 2 / 3


def sampled_gate(alpha: Tensor, uniform: Tensor) -> Tensor:
    """z = clip(s (zeta - gamma) + gamma, 0, 1), s = sigmoid((ln u - ln(1 - u) + alpha) / beta)."""
    s = ((uniform.log() - (1 - uniform).log() + alpha) / BETA).sigmoid()
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def settled_gate(alpha: Tensor) -> Tensor:
    """The gate without noise: clip(sigmoid(alpha) (zeta - gamma) + gamma, 0, 1)."""
    return (alpha.sigmoid() * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def open_probability(alpha: Tensor) -> Tensor:
    """How likely a sampled gate is not 0: sigmoid(alpha - beta ln(-gamma / zeta)); its mean is the L0 penalty."""
    return (alpha - BETA * math.log(-GAMMA / ZETA)).sigmoid()
