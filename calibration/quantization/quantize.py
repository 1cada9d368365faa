"""Bundle -> INT8 bundle: NNCF post-training quantization on real questions at their true length."""

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np

from calibration.data.samples import Inputs, held_out
from calibration.quantization.candidates import Candidate, Workshop
from calibration.quantization.gate import Chosen, Gate, ranking_questions, search
from calibration.quantization.int8_model import NNCF_VERSION, quantize_model
from calibration.quantization.product_errors import ProductError
from calibration.quantization.recipes import DEFAULT, Recipe
from calibration.quantization.report import GateResult, Quantization, size_of
from converters.conversion import tool_versions
from converters.token_budgets.budgets import carry_budgets
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import CARD, TOKENIZER, Step, Target
from edge_qa.diagnosis.expected_gains import int8_gain, int8_speed
from edge_qa.errors import BundleError, CalibrationError, InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import evaluate, scorable
from edge_qa.evaluation.squad_metric import Metric
from edge_qa.files import check_destination
from edge_qa.system.cpu import this_cpu

__all__ = ["DEFAULT_SAMPLES", "Quantization", "quantize", "quantize_model"]

Progress = Callable[[str], None]

# More gain nothing: benchmarks/experiments/calibration_samples.py.
DEFAULT_SAMPLES = 60
# The fewest that F1 was measured with there.
_FEWEST_SAMPLES = 10
# How many questions of the calibration file rank recipes, of a third of it at most.
_RANKING = 200


def quantize(
    bundle: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str],
    evaluation: str | os.PathLike[str] | None = None,
    samples: int = DEFAULT_SAMPLES,
    target: Target = "any",
    limit: int | None = None,
    seed: int = 0,
    recipe: Recipe = DEFAULT,
    max_drop: float | None = None,
    metric: Metric = "f1",
    product_errors: bool = False,
    force: bool = False,
    progress: Progress = lambda stage: None,
    evaluation_progress: Callable[[int, int], None] = lambda done, total: None,
    bars: TextIO | None = None,
) -> Quantization:
    """Quantize the weights and activations of a bundle to 8 bits, embeddings included.

    calibration: questions with contexts, as a SQuAD file, JSON lines or plain text; answers are not needed.
    evaluation: score and time both bundles on this file, the after-scores into the manifest.
    samples: how many questions calibrate. limit: how many evaluate (all by default).
    target: the CPUs it will run on; "any" is right everywhere, "vnni" uses the full weight range.
    recipe: how it is done, where there is no gate.
    max_drop: the gate: percent points that the metric may lose on the evaluation file. Recipes are then
    tried until one meets it (calibration/quantization/recipes.py), ranked on a part of the calibration file that
    calibrates nothing.
    product_errors: measure besides what each quantized product does to the logits.
    bars: where NNCF draws its progress bars, such as a terminal's stderr; nowhere by default.
    Raises InputError if no question of the calibration file can be used, CalibrationError if no recipe
    meets the gate; then nothing is written.
    """
    output = Path(os.path.abspath(destination))
    read = [bundle, calibration, *([] if evaluation is None else [evaluation])]
    check_destination(output, force=force, sources=read)
    if max_drop is not None and evaluation is None:
        raise InputError("is judged on an evaluation file, and none is given", where="max_drop", remedy="give one")
    gate = None if max_drop is None else Gate(max_drop, metric)
    progress("read")
    source = Bundle.load(bundle)
    if source.manifest.precision == "int8":
        raise BundleError(
            "is quantized already", where=source.path, remedy="give the FP16 bundle that it was made from"
        )
    data = read_dataset(calibration)
    test = None if evaluation is None else scorable(read_dataset(evaluation))
    answerer = QuestionAnswerer(source)
    held = tuple(held_out(_RANKING, len(data), seed=seed)) if gate else ()
    name = Path(destination)
    with tempfile.TemporaryDirectory(prefix="edge-qa-") as folder:
        workshop = Workshop(source, answerer, data, target, samples, seed, Path(folder), held, bars)
        if gate is not None and test is not None:
            ranking = ranking_questions(answerer, data, held)
            chosen = search(
                workshop, gate, ranking, test, name=name, limit=limit, stage=progress, progress=evaluation_progress
            )
        else:
            progress("quantize")
            chosen = _by_recipe(workshop, recipe, test, name, limit, progress, evaluation_progress)
        candidate = chosen.candidate
        products: tuple[ProductError, ...] = ()
        if product_errors:
            progress("measure the matrix products")
            products = tuple(workshop.product_errors(candidate))
        result = Quantization(
            path=output,
            manifest=source.manifest,
            samples=candidate.samples,
            before=chosen.before,
            after=chosen.after,
            recipe=candidate.recipe,
            gate=chosen.result,
            products=products,
            notes=tuple(filter(None, (speed_note(target), few_samples(candidate.samples, data.name)))),
            source_bytes=size_of(source.manifest),
            source_name=source.path.name,
        )
        progress("write")
        return _write(workshop, candidate, result, force)


def _by_recipe(
    workshop: Workshop,
    recipe: Recipe,
    test: Dataset | None,
    name: Path,
    limit: int | None,
    stage: Progress,
    progress: Callable[[int, int], None],
) -> Chosen:
    """Make one candidate, without a gate, and score it if there is something to score it on."""
    candidate = workshop.make(recipe)
    quantized = workshop.open(candidate, name)
    _check_finite(quantized, name, candidate.first)
    if test is None:
        return Chosen(candidate)
    stage("evaluate")
    pair = [(str(workshop.source.path), workshop.answerer), (str(name), quantized)]
    before, after = evaluate(pair, test, limit=limit, progress=progress)
    return Chosen(candidate, before, after)


def _write(workshop: Workshop, candidate: Candidate, result: Quantization, force: bool) -> Quantization:
    """Write the bundle of a candidate; the result says the rest."""
    source = workshop.source
    with new_bundle(result.path, force=force) as draft:
        files, budgets = carry_budgets(source, workshop.bundle(candidate, result.path))
        for file, content in files.items():
            draft.add(file, content)
        draft.add(TOKENIZER, source.contents[TOKENIZER].tobytes())
        draft.add(CARD, source.contents[CARD].tobytes())
        options = {
            "target": workshop.target,
            "samples": str(candidate.samples),
            "seed": str(workshop.seed),
            "calibration": workshop.data.name,
            "calibration_sha256": workshop.data.sha256,
            **candidate.recipe.as_options(),
            **_gate_options(result.gate),
        }
        step = Step("quantize", options, source.manifest.digest, tool_versions() | {"nncf": NNCF_VERSION})
        manifest = draft.seal(
            model=source.manifest.model,
            io=source.manifest.io,
            precision="int8",
            target=workshop.target,
            defaults=source.manifest.defaults,
            lineage=(*source.manifest.lineage, step),
            budgets=budgets,
            **({} if result.after is None else {"scores": (result.after.record(),)}),
        )
        # What a device will read is what is checked.
        written = replace(Bundle.load(draft.folder), path=result.path)
        _check_finite(QuestionAnswerer(written), result.path, candidate.first)
    return replace(result, manifest=manifest, written_bytes=size_of(manifest))


def few_samples(samples: int, data: str) -> str | None:
    """Return what calibration on fewer samples than anyone has measured is worth, or None where there are enough."""
    if samples >= _FEWEST_SAMPLES:
        return None
    return (
        f"calibrated on {samples} question{'s' * (samples > 1)} of {data}: the ranges of the activations are hardly "
        f"known from so few; give {_FEWEST_SAMPLES} or more"
    )


def speed_note(target: Target) -> str | None:
    """Return what INT8 will not do for the speed of this target's CPUs, or None where it is faster.

    For "any" that is this machine: where it gains, the user sees for himself.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if target == "vnni" or (target == "any" and not x86):
        return None
    kind = "avx2" if target == "avx2" else this_cpu().instruction_set
    speed = int8_speed(kind)
    if kind == "amx" or (speed is not None and speed >= 1):
        return None
    return f"target {target}: {int8_gain(kind).text}"


def _gate_options(gate: GateResult | None) -> dict[str, str]:
    if gate is None:
        return {}
    interval = f"{gate.drop.low:.3f} to {gate.drop.high:.3f}"
    return {
        "metric": gate.metric,
        "max_drop": f"{gate.max_drop:g}",
        "drop": f"{gate.drop.points:.3f}",
        "drop_interval_95": interval,
    }


def _check_finite(answerer: QuestionAnswerer, path: Path, sample: Inputs) -> None:
    if not all(np.isfinite(side).all() for side in answerer.engine.run(sample)):
        raise CalibrationError(
            "the quantized model gives logits that are not finite; nothing was written",
            where=path.name,
            remedy="check the checkpoint's weights with edge-qa evaluate",
        )
