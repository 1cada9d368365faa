"""prune-gates: each head and each neuron gets a hard-concrete gate that learns whether it is needed.

While gates learn, the loss has a penalty on how many are open beyond a target that falls to 1 - ratio, of the
heads and of the neurons. Then the share `ratio` of each, the least open, closes for good, the others
keep the value they settle at, and the weights learn on. What is written has no gates: their values
are folded into the output columns, and what is closed is gone.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from calibration.shrinking.mask_search import Masks
from calibration.shrinking.shrinker import cut
from calibration.sparsity.block_pruning import lowest
from calibration.torch_model.model import Gates
from calibration.training.options import PruneGates
from calibration.training.recipes.gates import open_probability, sampled_gate, settled_gate
from calibration.training.recipes.hooks import RecipeHooks, Step, Task, Tensor
from calibration.training.recipes.sparse_blocks import cubic
from converters.model.encoder import Encoder, Linear
from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

_OPEN = 2.5  # alpha at the start: a settled gate is 1 then
_RATE = 0.02  # of the gates: Adam moves alpha by so much a step, from open to closed in a few hundred
_STRENGTH = 10.0


class PruneGatesHooks(RecipeHooks[PruneGates]):
    """Gates are parameters beside the model's own: one for each head and each neuron of a layer."""

    def __init__(self, task: Task[PruneGates]) -> None:
        super().__init__(task)
        layers = task.encoder.layers
        sizes = [(layer.attention.heads, layer.feed_forwards[0].width) for layer in layers]
        self.alphas = [
            tuple(torch.nn.Parameter(torch.full((size,), _OPEN, device=task.device)) for size in pair) for pair in sizes
        ]
        self.settled: list[tuple[Tensor, Tensor]] | None = None  # once closed: heads and neurons, by layer

    def extra(self) -> dict[str, torch.nn.Parameter]:
        names = ("heads", "neurons")
        return super().extra() | {
            f"gates.{index}.{name}": alpha
            for index, pair in enumerate(self.alphas)
            for name, alpha in zip(names, pair, strict=True)
        }

    def rate(self, name: str) -> float:
        return _RATE if name.startswith("gates.") else super().rate(name)

    def before_step(self, number: int, total: int) -> None:
        if self.settled is None and number >= min(round(self.options.schedule * total), total - 1):
            self.settled = self.close()

    def loss(self, step: Step) -> Tensor:
        if self.settled is not None:
            return self.answers(step, gates=self.settled)
        random = step.random(self.options.seed)
        gates = [tuple(sampled_gate(alpha, _uniform(random, alpha)) for alpha in pair) for pair in self.alphas]
        return self.answers(step, gates=gates) + self.penalty(step.done / self.options.schedule)

    def penalty(self, done: float) -> Tensor:
        """How far the open share of heads, and that of neurons, is above its target."""
        target = 1 - cubic(self.options.ratio, done)
        total = torch.zeros((), device=self.task.device)
        for part in (0, 1):
            alphas = torch.cat([pair[part] for pair in self.alphas])
            if alphas.numel():
                total = total + _STRENGTH * (open_probability(alphas).mean() - target).relu()
        return total

    def close(self) -> list[tuple[Tensor, Tensor]]:
        """The settled gates, with the share `ratio` of all heads and of all neurons at 0, and no others."""
        parts = []
        for part in (0, 1):
            alphas = [pair[part].detach() for pair in self.alphas]
            scores = torch.cat(alphas).double().cpu().numpy()
            gone = lowest(scores, round(self.options.ratio * len(scores)))
            closed = torch.from_numpy(gone).to(self.task.device).split([len(alpha) for alpha in alphas])
            # One that is kept although it has settled at 0 opens: it was needed more than those that go.
            parts.append(
                [
                    torch.where(shut, 0.0, torch.where(settled_gate(alpha) > 0, settled_gate(alpha), 1.0))
                    for alpha, shut in zip(alphas, closed, strict=True)
                ]
            )
        return list(zip(*parts, strict=True))

    def encoder(self) -> Encoder:
        gates = self.settled or self.close()
        return folded(super().encoder(), gates)

    def state(self) -> dict[str, Any]:
        return {"settled": None if self.settled is None else [[gate.cpu() for gate in pair] for pair in self.settled]}

    def restore(self, state: dict[str, Any]) -> None:
        if state["settled"] is not None:
            device = self.task.device
            self.settled = [(heads.to(device), neurons.to(device)) for heads, neurons in state["settled"]]

    def summary(self) -> list[str]:
        gates = self.settled or self.close()
        heads, widths = (" ".join(str(int((pair[part] > 0).sum())) for pair in gates) for part in (0, 1))
        return [f"Heads by layer: {heads}; feed-forward neurons: {widths}."]


def _uniform(random: np.random.Generator, like: Tensor) -> Tensor:
    drawn = random.uniform(1e-6, 1 - 1e-6, like.shape).astype(np.float32)
    return torch.from_numpy(drawn).to(like.device)


def folded(encoder: Encoder, gates: Gates) -> Encoder:
    """The encoder without gates: their values are in the output columns, and what a gate of 0 closes is gone."""
    values = [tuple(gate.detach().float().cpu().numpy() for gate in pair) for pair in gates]
    layers = []
    for layer, (heads, neurons) in zip(encoder.layers, values, strict=True):
        attention, block = layer.attention, layer.feed_forwards[0]
        out, down = attention.output, block.down
        columns = np.repeat(heads, attention.value_size)
        attention = replace(attention, output=Linear((out.weight * columns).astype(out.weight.dtype), out.bias))
        block = replace(block, down=Linear((down.weight * neurons).astype(down.weight.dtype), down.bias))
        layers.append(replace(layer, attention=attention, feed_forwards=(block,)))
    masks = Masks(tuple(heads > 0 for heads, _ in values), tuple(neurons > 0 for _, neurons in values))
    return cut(replace(encoder, layers=tuple(layers)), masks)
