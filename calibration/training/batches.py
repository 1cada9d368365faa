"""Which windows are learnt from together: batches of like length, in an order that only the seed decides."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.training.data import Windows
from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Ints = NDArray[np.int64]

# Windows are shuffled, then sorted by length in chunks of so many batches: little padding, and still at random.
_CHUNK = 50


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows padded to the longest: ids, types (batch, tokens), lengths (batch,), targets (batch, 2), all int64.

    places: the numbers of the windows in the data.
    """

    ids: torch.Tensor
    types: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    places: Ints

    @property
    def tokens(self) -> int:
        """With padding."""
        return int(self.ids.numel())


class Batches:
    """The batches of all epochs: number 0, 1, .. without end, the same for the same seed."""

    def __init__(self, windows: Windows, tokens: int, seed: int, device: torch.device) -> None:
        """tokens: the most in a batch, padding counted; a window that is longer is a batch of its own."""
        self.windows, self.tokens, self.seed, self.device = windows, tokens, seed, device
        self._plan = lru_cache(2)(self._epoch)
        self._ends: list[int] = []  # the number of batches in the first 1, 2, .. epochs

    def steps(self, epochs: float) -> int:
        """How many batches so many epochs are, at least one."""
        whole = int(epochs)
        before = self._end(whole - 1)
        rest = self._end(whole) - before if epochs > whole else 0
        return max(1, round(before + (epochs - whole) * rest))

    def __getitem__(self, number: int) -> Batch:
        epoch = 0
        while self._end(epoch) <= number:
            epoch += 1
        return self._batch(self._plan(epoch)[number - self._end(epoch - 1)])

    def _end(self, epoch: int) -> int:
        while len(self._ends) <= epoch:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._plan(len(self._ends))))
        return self._ends[epoch] if epoch >= 0 else 0

    def _epoch(self, epoch: int) -> list[Ints]:
        random = np.random.default_rng((self.seed, epoch))
        lengths = self.windows.lengths
        order = random.permutation(len(lengths))
        chunk = max(1, round(_CHUNK * self.tokens / max(1.0, float(lengths.mean()))))
        plan = [
            batch
            for first in range(0, len(order), chunk)
            for batch in self._cut(
                order[first : first + chunk][np.argsort(lengths[order[first : first + chunk]], kind="stable")]
            )
        ]
        return [plan[place] for place in random.permutation(len(plan))]

    def _cut(self, places: Ints) -> Iterator[Ints]:
        """Cut windows that are sorted by length where the next one would make the batch too large."""
        lengths, first = self.windows.lengths[places], 0
        for last in range(1, len(places) + 1):
            if last == len(places) or lengths[last] * (last + 1 - first) > self.tokens:
                yield places[first:last]
                first = last

    def _batch(self, places: Ints) -> Batch:
        windows = self.windows
        lengths = windows.lengths[places]
        ids, types = (np.zeros((len(places), int(lengths.max())), np.int64) for _ in range(2))
        for row, place in enumerate(places):
            first, last = windows.firsts[place], windows.firsts[place + 1]
            ids[row, : last - first], types[row, : last - first] = windows.ids[first:last], windows.types[first:last]
        arrays = (ids, types, lengths, windows.targets[places].astype(np.int64))
        given = [torch.from_numpy(array).to(self.device) for array in arrays]
        return Batch(given[0], given[1], given[2], given[3], places)
