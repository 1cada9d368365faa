"""The teacher's logits: computed when a window comes up first, kept in a file for the epochs after it."""

from pathlib import Path

import numpy as np

from calibration.torch_model.token_dropping import MASKED
from calibration.training.batches import Batch
from calibration.training.data import Windows
from calibration.training.recipes.hooks import Forward
from edge_qa.errors import missing_extra
from edge_qa.files import write_file

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None


class TeacherLogits:
    """Logits of a teacher on windows, always rounded to float16: it does not matter which came from the file."""

    def __init__(self, forward: Forward, windows: Windows, path: Path) -> None:
        self.forward, self.windows = forward, windows
        shape = (len(windows.ids), 2)
        if not path.is_file() or path.stat().st_size != 2 * shape[0] * shape[1]:
            # Written, not mapped: a full disk is an error here, and later a fault that kills the process.
            write_file(path, np.full(shape, np.nan, np.float16).tobytes())
        self.known = np.memmap(path, np.float16, "r+", shape=shape)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return the teacher's logits, (batch, tokens, 2) float32; MASKED for padding."""
        firsts, lengths = self.windows.firsts[batch.places], self.windows.lengths[batch.places]
        last = firsts + lengths - 1
        # Rows are written whole, the last token last.
        if np.isnan(self.known[last, 1]).any():
            with torch.no_grad():
                logits = self.forward(batch).to(torch.float16).cpu().numpy()
            for row, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
                self.known[first : first + length] = logits[row, :length]
        result = np.full((*batch.ids.shape, 2), MASKED, np.float32)
        for row, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
            result[row, :length] = self.known[first : first + length]
        return torch.from_numpy(result).to(batch.ids.device)
