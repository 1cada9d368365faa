"""Candidates: INT8 models made from one bundle by several recipes, kept on disk until one is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs, draw_samples
from calibration.quantization.int8_model import attention_products, by_name, prepare, quantize_model
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.product_errors import ProductError, product_errors
from calibration.quantization.recipes import QuantizationRecipe
from converters.ir.storage import write_ir
from edge_qa._openvino import ov, this_core
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML
from edge_qa.evaluation.dataset import Dataset

Logits = NDArray[np.float32]

# What tells products and recipes apart is far larger than what differs from sample to sample.
_PROBES = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A quantized model on disk. first: one of the samples that calibrated it."""

    recipe: QuantizationRecipe
    folder: Path
    samples: int
    first: Inputs


@dataclass(frozen=True, eq=False)
class Workshop:
    """What every candidate is made from. folder: where they are put. held: examples that none may calibrate on."""

    source: Bundle
    answerer: QuestionAnswerer
    data: Dataset
    options: QuantizationOptions
    folder: Path
    held: tuple[int, ...] = ()
    bars: TextIO | None = None

    def make(self, recipe: QuantizationRecipe) -> Candidate:
        """Quantize by a recipe. Raises InputError if no sample can be used."""
        samples = self._samples(recipe)
        model = quantize_model(self._model(), samples, recipe, self.options.target, names=self._names, bars=self.bars)
        place = self.folder / str(len(list(self.folder.iterdir())))
        place.mkdir()
        write_ir(model, place)
        return Candidate(recipe, place, len(samples), samples[0])

    def open(self, candidate: Candidate, path: Path) -> QuestionAnswerer:
        """Load a candidate as if it were the bundle `path`."""
        return QuestionAnswerer(self.bundle(candidate, path))

    def bundle(self, candidate: Candidate, path: Path) -> Bundle:
        """A candidate as if it were the bundle `path`, in memory."""
        contents = dict(self.source.contents)
        for name in (MODEL_XML, MODEL_BIN):
            contents[name] = np.fromfile(candidate.folder / name, np.uint8)
        manifest = replace(self.source.manifest, precision="int8", target=self.options.target)
        return Bundle(path, manifest, contents)

    def probes(self) -> list[Inputs]:
        """A handful of inputs that calibrate nothing, if any are held out."""
        held = [self.data.examples[index] for index in self.held] or self.data.examples
        return draw_samples(self.answerer, held, _PROBES, seed=self.options.seed, where=self.data.where)

    def product_errors(self, candidate: Candidate) -> list[ProductError]:
        """What each quantized product of a candidate does to the logits, the worst first."""
        # Balanced as the candidate was, on the same samples.
        original = prepare(self._model(), self._samples(candidate.recipe), candidate.recipe, names=self._names)
        quantized = this_core().read_model(candidate.folder / MODEL_XML)
        return product_errors(original, quantized, [by_name(probe, self._names) for probe in self.probes()])

    def attention_products(self) -> list[str]:
        """The products of two activations, by name."""
        return attention_products(self._model())

    def _model(self) -> "ov.Model":
        return this_core().read_model(self.source.model_xml, ov.Tensor(self.source.model_bin))

    def _samples(self, recipe: QuantizationRecipe) -> list[Inputs]:
        count, held = self.options.samples * recipe.sample_factor, frozenset(self.held)
        where = self.data.where
        return draw_samples(self.answerer, self.data.examples, count, seed=self.options.seed, where=where, skip=held)

    @property
    def _names(self) -> dict[str, str]:
        return {role: record.name for role, record in self.source.manifest.io.inputs.items()}


def logits(answerer: QuestionAnswerer, inputs: Sequence[Inputs]) -> list[Logits]:
    """Start and end logits of each input, one array each."""
    return [np.concatenate([np.ravel(side) for side in answerer.engine.run(one)]) for one in inputs]
