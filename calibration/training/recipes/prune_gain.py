"""prune-gain: heads and neurons that matter least go, then what is left learns from the whole model.

Gain (McCarley et al. 2019, arXiv 1910.06360): the mean over examples of |d loss / d gate|, all gates 1. The
search for what to keep, its costs, and the other two rankings are those of `edge-qa shrink`.
"""

from typing import Any

import numpy as np

from calibration.data.answered_windows import draw_answered
from calibration.shrinking.fisher import mask_gradients
from calibration.shrinking.latency_model import measure_costs
from calibration.shrinking.mask_gradients import Gradients, MaskGradients
from calibration.shrinking.mask_search import Masks, search_masks
from calibration.shrinking.shrinker import Material, cut, shrink_encoder
from calibration.shrinking.structure_costs import StructureCosts, multiply_add_costs
from calibration.torch_model.model import TorchEncoder
from calibration.training.options import PruneGain
from calibration.training.recipes.hooks import RecipeHooks
from converters.conversion import convert
from converters.model.encoder import Encoder
from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError, missing_extra
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.files import scratch_folder

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None


def gain(gradients: Gradients) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The mean over samples of the size of each mask's gradient, (masks,)."""
    return np.asarray(np.abs(gradients.astype(np.float64)).mean(axis=0))


class PruneGainHooks(RecipeHooks[PruneGain]):
    """Prunes once, at the start."""

    masks: Masks

    def start(self, structure: dict[str, Any] | None) -> TorchEncoder:
        if structure is None:
            small, self.masks = self._prune()
        else:
            heads, neurons = (tuple(mask.numpy() for mask in structure[part]) for part in ("heads", "neurons"))
            self.masks = Masks(heads, neurons)
            # Values follow from the state.
            small = cut(self.task.encoder, self.masks)
        self.student = TorchEncoder(small, self.task.source.path)
        return self.student

    def structure(self) -> dict[str, Any]:
        return {
            "heads": [torch.from_numpy(mask) for mask in self.masks.heads],
            "neurons": [torch.from_numpy(mask) for mask in self.masks.neurons],
        }

    def summary(self) -> list[str]:
        heads, widths = (" ".join(map(str, row)) for row in (self.masks.head_counts, self.masks.widths))
        return [f"Heads by layer: {heads}; feed-forward neurons: {widths}."]

    def _prune(self) -> tuple[Encoder, Masks]:
        task, options = self.task, self.options
        data = read_dataset(task.data)
        with scratch_folder(task.folder / "model") as folder:
            dense = QuestionAnswerer.load(convert(task.source.path, folder / "dense").path)
            answered = draw_answered(dense, data.examples, options.samples, seed=options.seed, where=data.where)
            windows = [dense.engine.batch([item.window], pad=False) for item in answered]
            tokens = dense.engine.padded_length(round(float(np.mean([item.window.tokens for item in answered]))))
        gradients = mask_gradients(task.encoder, answered, progress=task.progress)
        costs = self._costs(tokens)
        share = 1 / options.speedup if options.speedup is not None else 1 - (options.ratio or 0)
        if costs.dense * share < costs.least:
            raise InputError(
                f"without any head or neuron this model would run {costs.most_speedup:.2f} times faster, and no more",
                where=f"speedup {1 / share:g}",
                remedy="ask for less",
            )
        small, masks = self._choose(gradients, costs, costs.dense * share, windows)
        if not masks.remove_anything:
            raise InputError(
                "too little is asked for to remove anything of this model", remedy="raise ratio or speedup"
            )
        return small, masks

    def _costs(self, tokens: int) -> StructureCosts:
        if self.options.speedup is None:
            return multiply_add_costs(self.task.encoder, tokens)
        self.task.progress("latency", 0, 1)
        costs = measure_costs(self.task.encoder, tokens, precision="int8")
        self.task.progress("latency", 1, 1)
        return costs

    def _choose(
        self, gradients: MaskGradients, costs: StructureCosts, budget: float, windows: list[Any]
    ) -> tuple[Encoder, Masks]:
        if self.options.ranking == "gain":
            heads, neurons = ([gain(part) for part in parts] for parts in (gradients.heads, gradients.neurons))
            masks = search_masks(heads, neurons, costs, budget)
            return cut(self.task.encoder, masks), masks
        shrunk = shrink_encoder(
            Material(self.task.encoder, windows, gradients),
            costs,
            budget,
            self.options.ranking,
            progress=self.task.progress,
        )
        return shrunk.encoder, shrunk.masks
