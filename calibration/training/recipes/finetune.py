"""finetune: learn the answers, and write the mean of the trained weights and those that it began with, if asked to.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903: between the two the new skill is kept
nearly whole, and what the model did well before, on other kinds of text above all, comes back.
"""

import numpy as np

from calibration.training.options import Finetune
from calibration.training.recipes.hooks import RecipeHooks
from converters.model.encoder import Array, Encoder, map_arrays, named_arrays


class FinetuneHooks(RecipeHooks[Finetune]):
    """Trains as the others do; only what is written is a mean."""

    def encoder(self) -> Encoder:
        trained = super().encoder()
        share = self.options.trained_share
        if share == 1:
            return trained
        begun = dict(named_arrays(self.task.encoder))
        names = {id(array): name for name, array in named_arrays(trained)}

        def mean(array: Array) -> Array:
            before = np.asarray(begun[names[id(array)]], np.float32)
            return np.asarray((share * np.asarray(array, np.float32) + (1 - share) * before).astype(array.dtype))

        return map_arrays(trained, mean)
