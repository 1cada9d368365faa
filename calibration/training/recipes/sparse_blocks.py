"""sparse-1x4: aligned blocks of 4 outputs x 1 input become zero, the smallest first, more and more of them.

Each matrix has the share s_f (1 - (1 - t)^3) of its weights at zero, t rising from 0 to 1 over the first part
of the steps (Zhu and Gupta 2017, arXiv 1710.01878); a block that went does not come back. The end is
the format of Prune Once for All (Zafrir et al. 2021, arXiv 2111.05754).
"""

from calibration.sparsity.block_pruning import block_mask, blocks_to_prune, whole_blocks
from calibration.torch_model.model import TorchEncoder
from calibration.training.options import SparseBlocks
from calibration.training.recipes.masked import MaskedHooks
from edge_qa.errors import InputError, missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

BLOCK = (4, 1)


def cubic(final: float, done: float) -> float:
    """The share at zero when `done`, 0..1, of the schedule is over."""
    return final * (1 - (1 - min(1.0, max(0.0, done))) ** 3)


class SparseBlocksHooks(MaskedHooks[SparseBlocks]):
    """Masks are chosen anew every `refresh` steps until the schedule ends, and stay from then on."""

    def start(self, structure: dict[str, object] | None) -> TorchEncoder:
        student = super().start(structure)
        ratio = self.options.ratio
        for name, weight in student.matrices().items():
            shape = tuple(weight.shape)
            if blocks_to_prune(shape, BLOCK, ratio) > whole_blocks(shape, BLOCK):
                raise InputError(
                    f"{name} is {shape[0]}x{shape[1]}, of which too little is whole blocks of 4x1",
                    where=f"ratio {ratio:g}",
                    remedy="lower the ratio",
                )
        return student

    def before_step(self, number: int, total: int) -> None:
        end = min(round(self.options.schedule * total), total - 1)
        if number > end or (number % self.options.refresh and number != end):
            return
        share = cubic(self.options.ratio, 1.0 if number == end else number / end)
        for name, weight in self.student.matrices().items():
            # What is zero already has the smallest score, and stays.
            mask = block_mask(weight.detach().cpu().numpy(), BLOCK, share)
            self.masks[name] = torch.from_numpy(mask).to(weight.device)
        self.apply()
