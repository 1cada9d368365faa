"""The losses: the answer's own, the teacher's logits, hidden states and attention."""

from collections.abc import Sequence
from typing import TypeAlias

from calibration.torch_model.model import Trace
from edge_qa.errors import missing_extra

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor


def span_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of the first and the last token; logits (batch, tokens, 2), targets (batch, 2)."""
    return functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), targets.flatten())


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of both distributions over tokens, softened by T (Hinton et al. 2015).

    logits, teacher: (batch, tokens, 2); the mean over the batch and the two ends.
    """
    own = (logits / temperature).log_softmax(1).transpose(1, 2).flatten(0, 1)
    wanted = (teacher / temperature).log_softmax(1).transpose(1, 2).flatten(0, 1)
    return temperature**2 * functional.kl_div(own, wanted, reduction="batchmean", log_target=True)


def layer_map(layers: int, teacher_layers: int) -> list[int]:
    """Which output of the teacher each output of the student is like: evenly spread (TinyBERT).

    The embeddings come first, and are like nothing but embeddings.
    """
    return [0, *(max(1, round(index * teacher_layers / layers)) for index in range(1, layers + 1))]


def hidden_loss(
    own: Sequence[Tensor], teacher: Sequence[Tensor], real: Tensor, projections: Sequence[torch.nn.Linear] | None = None
) -> Tensor:
    """Mean squared difference of hidden states over real tokens, summed over the student's outputs.

    own, teacher: (batch, tokens, H), embeddings first. real: (batch, tokens). projections: of the student's
    states, where the widths differ (TinyBERT, Jiao et al. 2020, arXiv 1909.10351).
    """
    total = torch.zeros((), device=real.device)
    for index, place in enumerate(layer_map(len(own) - 1, len(teacher) - 1)):
        mine = _wide(own[index])
        if projections is not None:
            mine = projections[index](mine)
        total = total + (mine - _wide(teacher[place])).square().mean(-1)[real].mean()
    return total


def attention_loss(own: Trace, teacher: Trace, real: Tensor) -> Tensor:
    """Mean squared difference of attention scores between real tokens, summed over layers with equal heads.

    Scores before the softmax, as in TinyBERT; what is compared with MobileBERT's kind of layer is the caller's.
    """
    pairs = real[:, None, :, None] & real[:, None, None, :]
    total = torch.zeros((), device=real.device)
    places = layer_map(len(own.scores), len(teacher.scores))[1:]
    for mine, place in zip(own.scores, places, strict=True):
        wanted = teacher.scores[place - 1]
        if mine is None or wanted is None or mine.shape != wanted.shape:
            continue
        difference = (_wide(mine) - _wide(wanted)).square()
        total = total + difference[pairs.expand_as(difference)].mean()
    return total


def _wide(x: Tensor) -> Tensor:
    """At least float32: squares of bfloat16 lose too much."""
    return x if x.dtype == torch.float64 else x.float()
