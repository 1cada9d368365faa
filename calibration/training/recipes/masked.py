"""What recipes share that keep weights at zero: a mask for each matrix, held exactly."""

from typing import Any, TypeAlias

from calibration.training.recipes.hooks import Chosen, RecipeHooks, Task, Weights
from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor


class MaskedHooks(RecipeHooks[Chosen]):
    """Weights whose mask is False are zero after every step, and get no gradient."""

    def __init__(self, task: Task[Chosen]) -> None:
        super().__init__(task)
        self.masks: dict[str, Tensor] = {}

    def weights(self, own: Weights) -> Weights:
        # Also in the graph: a gradient of what stays zero would only take part in the clipping.
        return {name: value * self.masks[name] if name in self.masks else value for name, value in own.items()}

    def after_step(self, number: int, total: int) -> None:
        # Momentum may still push what was masked on the way.
        self.apply()

    def apply(self) -> None:
        """Write the masks into the parameters."""
        matrices = self.student.matrices()
        with torch.no_grad():
            for name, mask in self.masks.items():
                matrices[name].masked_fill_(~mask, 0)

    def state(self) -> dict[str, Any]:
        return {"masks": {name: mask.cpu() for name, mask in self.masks.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.masks = {name: mask.to(self.task.device) for name, mask in state["masks"].items()}

    def summary(self) -> list[str]:
        size = sum(mask.numel() for mask in self.masks.values())
        zeros = size - sum(int(mask.sum()) for mask in self.masks.values())
        return [f"Zero weights in the encoder's matrices: {zeros / max(1, size):.2%} of {size}."]
