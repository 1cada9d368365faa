"""magnitude: NNCF chooses single weights that become zero, and the model learns on around them.

Modes of nncf.prune: "local", the smallest of each matrix, and "global", the smallest of all together, prune once,
at the start. "regularization" learns a score for each weight beside it, drawn to the ratio by NNCF's own loss
while the schedule lasts; then the lowest go. NNCF works on a model that holds nothing but the
matrices, which are the student's own parameters.
"""

import logging
from typing import Any

import numpy as np

from calibration.sparsity.block_pruning import lowest
from calibration.torch_model.model import TorchEncoder
from calibration.training.options import Magnitude
from calibration.training.recipes.hooks import SCORES, Step, Tensor, Weights
from calibration.training.recipes.masked import MaskedHooks
from calibration.training.recipes.sparse_blocks import cubic
from edge_qa._openvino import without_telemetry
from edge_qa.errors import missing_extra

without_telemetry()
try:
    import nncf
    import torch
    from nncf.torch.function_hook.pruning.magnitude import algo as by_magnitude
    from nncf.torch.function_hook.pruning.rb import algo as by_loss
    from nncf.torch.function_hook.pruning.rb.losses import RBLoss
    from torch import nn
except ModuleNotFoundError as error:
    raise missing_extra(error, "calibrate,torch") from None

# Its log goes to stdout, where a command's data goes.
nncf.set_log_level(logging.ERROR)

_MODES = {
    "local": nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL,
    "global": nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_GLOBAL,
    "regularization": nncf.PruneMode.UNSTRUCTURED_REGULARIZATION_BASED,
}
_RATE = 0.02  # of the scores


class _Matrices(nn.Module):
    """A Linear for each matrix, run on nothing: what NNCF is given to prune."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.linears = nn.ModuleList()
        for weight in weights.values():
            linear = nn.Linear(1, 1, bias=False)
            linear.weight = weight
            self.linears.append(linear)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [linear(x.new_zeros(1, linear.weight.shape[1])) for linear in self.linears]


class MagnitudeHooks(MaskedHooks[Magnitude]):
    """Masks are NNCF's; once they are chosen they stay."""

    def start(self, structure: dict[str, Any] | None) -> TorchEncoder:
        mode = self.options.mode
        student: TorchEncoder = super().start(structure).to(self.task.device)
        matrices = student.matrices()
        given: dict[str, Any] = {} if mode == "regularization" else {"ratio": self.options.ratio}
        pruned = nncf.prune(
            _Matrices(matrices), _MODES[mode], examples_inputs=torch.zeros(1, device=self.task.device), **given
        )
        algorithm = by_loss if mode == "regularization" else by_magnitude
        # "linears.3.weight" is the fourth matrix.
        modules = {int(name.split(".")[1]): module for name, module in algorithm.get_pruned_modules(pruned).items()}
        self.modules = {name: modules[place] for place, name in enumerate(matrices)}
        for module in modules.values():
            module.train()
        if mode == "regularization":
            self.penalty = RBLoss(pruned, 0.0)
        else:
            self.masks = {name: module.binary_mask.bool() for name, module in self.modules.items()}
            self.student = student
            self.apply()
        return student

    def extra(self) -> dict[str, nn.Parameter]:
        if self.options.mode != "regularization":
            return super().extra()
        return super().extra() | {f"{SCORES}{name}": module.mask for name, module in self.modules.items()}

    def rate(self, name: str) -> float:
        return _RATE if name.startswith(SCORES) else super().rate(name)

    def before_step(self, number: int, total: int) -> None:
        if self.masks:
            return
        end = min(round(self.options.schedule * total), total - 1)
        self.penalty.target_ratio = cubic(self.options.ratio, number / max(1, end))
        # NNCF draws noise from torch's own generator.
        torch.manual_seed((self.options.seed << 32) + number)
        if number >= end:
            self.masks = self.chosen()
            self.apply()

    def chosen(self) -> dict[str, Tensor]:
        """The weights of the highest scores, so many as the ratio leaves, over all matrices."""
        scores = [module.mask.detach().double().cpu().numpy() for module in self.modules.values()]
        flat = np.concatenate([part.ravel() for part in scores])
        gone = lowest(flat, round(self.options.ratio * len(flat)))
        parts = np.split(gone, np.cumsum([part.size for part in scores])[:-1])
        return {
            name: torch.from_numpy(~part.reshape(score.shape)).to(self.task.device)
            for name, part, score in zip(self.modules, parts, scores, strict=True)
        }

    def weights(self, own: Weights) -> Weights:
        if self.masks:
            return super().weights(own)
        return {name: self.modules[name](value) if name in self.modules else value for name, value in own.items()}

    def loss(self, step: Step) -> Tensor:
        total = self.answers(step)
        return total if self.masks else total + self.penalty().to(total.device)

    def encoder(self) -> Any:
        if self.masks:
            return super().encoder()
        # As it would be if it ended now.
        whole = {name: value.detach().clone() for name, value in self.student.matrices().items()}
        self.masks = self.chosen()
        self.apply()
        found = super().encoder()
        self.masks = {}
        with torch.no_grad():
            for name, value in self.student.matrices().items():
                value.copy_(whole[name])
        return found
