"""lengthdrop: the model learns to answer at any budget of tokens, by dropping them at random while it trains.

After LengthDrop (Kim and Cho 2021, arXiv 2010.07003): each step runs the whole model, which learns the answers,
and once more with tokens dropped, which learns what the whole model says (in-place distillation). Every third
time the shortest budget runs, else a random one (the sandwich rule, spread over steps). Tokens
are ranked as the runtime does, by attention or by probes that are fitted again on the way.
"""

from typing import Any

import numpy as np

from calibration.data.samples import draw_samples
from calibration.token_budgets.probes import fit_probes
from calibration.training.losses import distillation_loss
from calibration.training.options import LengthDrop
from calibration.training.recipes.hooks import RecipeHooks, Step, Task, Tensor
from converters.checkpoint_writer import write_checkpoint
from converters.conversion import convert
from converters.token_budgets.token_dropping import STEP, Keep, Probes
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import missing_extra
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.files import scratch_folder

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

_SMALLEST_EVERY = 3
_FITS = 4  # of the probes, over the run
_SAMPLES = 200


class LengthDropHooks(RecipeHooks[LengthDrop]):
    """Trains one model for all budgets."""

    def __init__(self, task: Task[LengthDrop]) -> None:
        super().__init__(task)
        self.probes: Probes = {}

    def before_step(self, number: int, total: int) -> None:
        if self.options.rule == "probe" and number % max(1, -(-total // _FITS)) == 0:
            self.probes = self._fit()

    def loss(self, step: Step) -> Tensor:
        total, full = self.answers_and_logits(step)
        shorter = step.student(step.batch, keep=self.keep(step))
        return total + distillation_loss(shorter, full.detach(), 1.0)

    def keep(self, step: Step) -> Keep:
        """The shares of this step: the least, or random ones that never rise."""
        heads = [layer.attention.heads for layer in self.student.template.layers]
        least = self.options.shortest
        if step.number % _SMALLEST_EVERY == _SMALLEST_EVERY - 1:
            shares = least ** (np.arange(1, len(heads) + 1) / len(heads))
        else:
            random = step.random(self.options.seed)
            last = random.uniform(least, 1)
            shares = np.sort(random.uniform(last, 1, len(heads)))[::-1]
            # Most budgets that are worth their time leave the first layers whole.
            shares = np.where(np.arange(len(heads)) < random.integers(len(heads)), 1.0, shares)
        kept, before = [], 1.0
        for count, share in zip(heads, shares.tolist(), strict=True):
            before = min(before, share) if count else before  # without heads a layer cannot drop
            kept.append(before)
        return Keep(tuple(kept), STEP, self.probes)

    def state(self) -> dict[str, Any]:
        return {"probes": {str(layer): torch.from_numpy(probe) for layer, probe in self.probes.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.probes = {int(layer): probe.numpy() for layer, probe in state["probes"].items()}

    def summary(self) -> list[str]:
        return [
            f"Tokens dropped by {self.options.rule}, down to {self.options.shortest:.0%} of them in the last layer."
        ]

    def _fit(self) -> Probes:
        """Fit probes to the model as it is now."""
        data = read_dataset(self.task.data)
        with scratch_folder(self.task.folder / "model") as folder:
            written = write_checkpoint(self.encoder(), folder / "checkpoint", source=self.task.source)
            bundle = Bundle.load(convert(written, folder / "bundle").path)
            with QuestionAnswerer(bundle) as answerer:
                samples = draw_samples(answerer, data.examples, _SAMPLES, seed=self.options.seed, where=data.where)
            return fit_probes(bundle, samples)
