"""block-movement: what training moves towards zero goes, in blocks of 32x32 and in neurons; then the rest is filled.

Each block of an attention matrix and each neuron has a score that learns with the weights: the score's gradient
is that of the mask it makes, as if the choice of the best were the identity (straight through: Sanh et al.
2020, arXiv 2005.07683; blocks: Lagunas et al. 2021, arXiv 2109.04838). A growing share, by a cubic schedule, of the
lowest is masked, over all layers together. Afterwards a head that has lost one of its four matrices is gone,
a neuron that was masked is gone, and all other heads get all their weights back ("filled") and learn on.
"""

from typing import Any

import numpy as np

from calibration.shrinking.mask_search import Masks
from calibration.shrinking.shrinker import cut
from calibration.sparsity.block_pruning import lowest
from calibration.torch_model.model import TorchEncoder
from calibration.training.options import BlockMovement
from calibration.training.recipes.hooks import SCORES, RecipeHooks, Step, Tensor, Weights
from calibration.training.recipes.sparse_blocks import cubic
from converters.model.encoder import Encoder
from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

BLOCK = 32
_RATE = 0.01  # of the scores
_PARTS = ("query", "key", "value", "output")


class _StraightThrough(torch.autograd.Function):
    """The mask forwards; backwards the gradient of the mask goes to the scores as it is."""

    @staticmethod
    def forward(_context: Any, _scores: Tensor, mask: Tensor) -> Tensor:
        return mask.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the mask, with the scores in its place when gradients flow."""
    result: Tensor = _StraightThrough.apply(scores, mask)
    return result


def spread(blocks: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One value for each weight (out, in) of a matrix from one for each block; blocks at the end may be smaller."""
    rows = blocks.repeat_interleave(BLOCK, 0)[: shape[0]]
    return rows.repeat_interleave(BLOCK, 1)[:, : shape[1]]


class BlockMovementHooks(RecipeHooks[BlockMovement]):
    """Scores are parameters beside the model's own; `masks` say what of them is in use, 1 or 0."""

    def start(self, structure: dict[str, Any] | None) -> TorchEncoder:
        student = super().start(structure)
        device = self.task.device
        shapes: dict[str, tuple[int, ...]] = {}
        for index, layer in enumerate(student.layers):
            if layer.heads:
                for part in _PARTS:
                    rows, columns = getattr(layer.attention, part).weight.shape
                    shapes[f"layers.{index}.attention.{part}.weight"] = (-(-rows // BLOCK), -(-columns // BLOCK))
            if layer.width:
                shapes[f"layers.{index}.feed_forwards.0"] = (layer.width,)
        self.scores = {name: torch.nn.Parameter(torch.zeros(shape, device=device)) for name, shape in shapes.items()}
        self.masks = {name: torch.ones(shape, device=device) for name, shape in shapes.items()}
        self.filled: list[tuple[Tensor, Tensor]] | None = None  # of each layer: heads and neurons that are left
        return student

    def extra(self) -> dict[str, torch.nn.Parameter]:
        return super().extra() | {f"{SCORES}{name}": score for name, score in self.scores.items()}

    def rate(self, name: str) -> float:
        return _RATE if name.startswith(SCORES) else super().rate(name)

    def before_step(self, number: int, total: int) -> None:
        end = min(round(self.options.schedule * total), total - 1)
        if self.filled is not None:
            return
        self.choose(cubic(self.options.ratio, 1.0 if number >= end else number / end))
        if number >= end:
            self.filled = self.survivors()

    def choose(self, share: float) -> None:
        """Mask this share of all attention blocks, and of all neurons: those of the lowest scores."""
        for blocks in (True, False):
            names = [name for name in self.scores if name.endswith(".weight") == blocks]
            if not names:
                continue
            flat = [self.scores[name].detach().double().cpu().numpy().ravel() for name in names]
            every = np.concatenate(flat)
            gone = lowest(every, round(share * len(every)))
            for name, part in zip(names, np.split(gone, np.cumsum([len(row) for row in flat])[:-1]), strict=True):
                mask = torch.from_numpy((~part).astype(np.float32)).to(self.task.device)
                self.masks[name] = mask.reshape(self.scores[name].shape)

    def survivors(self) -> list[tuple[Tensor, Tensor]]:
        """Which heads and neurons are left, 1 or 0, by layer."""
        found = []
        for index, layer in enumerate(self.student.layers):
            heads = torch.ones(layer.heads, device=self.task.device)
            for part in _PARTS if layer.heads else ():
                name = f"layers.{index}.attention.{part}.weight"
                mask = spread(self.masks[name], tuple(getattr(layer.attention, part).weight.shape))
                by_head = (mask.T if part == "output" else mask).reshape(layer.heads, -1)
                heads = heads * by_head.any(1)
            neurons = self.masks.get(f"layers.{index}.feed_forwards.0")
            found.append((heads, torch.ones(0, device=heads.device) if neurons is None else neurons))
        return found

    def weights(self, own: Weights) -> Weights:
        if self.filled is not None:
            return own
        changed = dict(own)
        for name, score in self.scores.items():
            if name.endswith(".weight"):
                mask = straight_through(score, self.masks[name])
                changed[name] = own[name] * spread(mask, tuple(own[name].shape))
        return changed

    def loss(self, step: Step) -> Tensor:
        if self.filled is not None:
            return self.answers(step, gates=self.filled)
        gates = []
        for index, layer in enumerate(self.student.layers):
            name = f"layers.{index}.feed_forwards.0"
            width = straight_through(self.scores[name], self.masks[name]) if layer.width else step.real.new_ones(0)
            gates.append((torch.ones(layer.heads, device=self.task.device), width))
        return self.answers(step, gates=gates)

    def encoder(self) -> Encoder:
        left = self.filled or self.survivors()
        heads, neurons = ([pair[part].bool().cpu().numpy() for pair in left] for part in (0, 1))
        return cut(super().encoder(), Masks(tuple(heads), tuple(neurons)))

    def state(self) -> dict[str, Any]:
        filled = None if self.filled is None else [[part.cpu() for part in pair] for pair in self.filled]
        return {"masks": {name: mask.cpu() for name, mask in self.masks.items()}, "filled": filled}

    def restore(self, state: dict[str, Any]) -> None:
        device = self.task.device
        self.masks = {name: mask.to(device) for name, mask in state["masks"].items()}
        if state["filled"] is not None:
            self.filled = [(heads.to(device), neurons.to(device)) for heads, neurons in state["filled"]]

    def summary(self) -> list[str]:
        left = self.filled or self.survivors()
        heads, widths = (" ".join(str(int(pair[part].sum())) for pair in left) for part in (0, 1))
        return [f"Heads by layer: {heads}; feed-forward neurons: {widths}."]
