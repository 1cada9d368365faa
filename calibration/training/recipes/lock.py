"""lock: a sparse checkpoint learns, and what is zero stays zero (Zafrir et al. 2021, arXiv 2111.05754)."""

from calibration.torch_model.model import TorchEncoder
from calibration.training.options import Lock
from calibration.training.recipes.masked import MaskedHooks
from edge_qa.errors import CheckpointError

_LEAST = 0.01


class LockHooks(MaskedHooks[Lock]):
    """The pattern is that of the checkpoint: mask = weight != 0, in every matrix of the layers."""

    def start(self, structure: dict[str, object] | None) -> TorchEncoder:
        student: TorchEncoder = super().start(structure).to(self.task.device)
        self.masks = {name: weight.detach() != 0 for name, weight in student.matrices().items()}
        size = sum(mask.numel() for mask in self.masks.values())
        zeros = size - sum(int(mask.sum()) for mask in self.masks.values())
        if zeros < _LEAST * size:
            raise CheckpointError(
                f"{zeros / max(1, size):.2%} of its weights are zero, which is no pattern to lock",
                where=self.task.source.path,
                remedy="make it sparse first, with the recipe sparse-1x4 or with sparsify",
            )
        return student
