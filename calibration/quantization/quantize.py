"""Bundle -> INT8 bundle: NNCF post-training quantization on real questions, or the native engine's, on none."""

import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Literal, TextIO

import numpy as np

from calibration.confidence.calibrate import fitted_confidence
from calibration.confidence.options import ConfidenceOptions
from calibration.data.samples import Inputs, held_out
from calibration.quantization.accuracy_gate import Chosen, ranking_questions, search
from calibration.quantization.candidates import Candidate, Workshop
from calibration.quantization.int8_model import NNCF_VERSION
from calibration.quantization.native import quantize_native
from calibration.quantization.options import AccuracyGate, QuantizationOptions
from calibration.quantization.product_errors import ProductError
from calibration.quantization.report import Quantization, gate_options, size_of
from converters.bundle_writer import made_by, parts_of_successor, read_back, write_parts
from converters.token_budgets.budgets import carry_budgets
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import ConfidenceRecord, Target
from edge_qa.diagnosis.expected_gains import int8_gain, int8_speed
from edge_qa.errors import BundleError, CalibrationError, InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import evaluate, scorable
from edge_qa.files import check_destination, scratch_folder
from edge_qa.progress import Progress, no_progress
from edge_qa.system.cpu import this_cpu

# The fewest that F1 was measured with: benchmarks/experiments/calibration_samples.py.
_FEWEST_SAMPLES = 10
# How many questions of the calibration file rank recipes, of a third of it at most.
_RANKING = 200
# A calibration file with answers to so many questions fits a confidence without being asked to.
_ENOUGH_ANSWERS = 1000


def quantize(
    bundle: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str] | None = None,
    engine: Literal["openvino", "native"] = "openvino",
    evaluation: str | os.PathLike[str] | None = None,
    confidence: str | os.PathLike[str] | None = None,
    options: QuantizationOptions = QuantizationOptions(),
    gate: AccuracyGate | None = None,
    limit: int | None = None,
    language: str | None = None,
    product_errors: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
    bars: TextIO | None = None,
) -> Quantization:
    """Quantize the weights and activations of a bundle to 8 bits, embeddings included.

    calibration: questions with contexts, as a SQuAD file, JSON lines or plain text; answers are not needed. Only
    engine "native" does without.
    engine: "native" adds the 8-bit model of the native engine to the bundle and leaves the FP16 model in it; only
    evaluation, gate, limit, language, force and progress then matter.
    evaluation: score and time both bundles on this file, the after-scores into the manifest.
    confidence: questions with answers, on which it is fitted how sure the answers of the INT8 bundle are, as
    `calibrate_confidence` does. By default that is the calibration file, if it has answers to 1,000 questions or
    more, and `options.confidence` does not forbid it.
    gate: what the metric may lose on the evaluation file. Recipes are then tried until one meets it
    (calibration/quantization/recipes.py), ranked on a part of the calibration file that calibrates nothing.
    limit: how many questions evaluate (all by default).
    language: of the answers, as for `read_dataset`.
    product_errors: measure besides what each quantized product does to the logits.
    bars: where NNCF draws its progress bars, such as a terminal's stderr; nowhere by default.
    Raises InputError if no question of the calibration file can be used, CalibrationError if no recipe
    meets the gate; then nothing is written.
    """
    output = Path(os.path.abspath(destination))
    if (calibration is None) != (engine == "native"):
        got, remedy = ("none", "give questions") if calibration is None else ("some", "leave them out")
        raise InputError(f"got {got} for the engine {engine!r}", where="calibration", remedy=remedy)
    if confidence is not None and engine == "native":
        raise InputError(
            "is fitted for the engine 'openvino' alone", where="confidence", remedy="run edge-qa calibrate-confidence"
        )
    given = [file for file in (calibration, evaluation, confidence) if file]
    check_destination(output, force=force, sources=[bundle, *given])
    if gate is not None and evaluation is None:
        raise InputError("is judged on an evaluation file, and none is given", where="max_drop", remedy="give one")
    progress("read")
    source = Bundle.load(bundle)
    if source.manifest.precision == "int8":
        raise BundleError(
            "is quantized already", where=source.path, remedy="give the FP16 bundle that it was made from"
        )
    data = None if calibration is None else read_dataset(calibration, language=language)
    test = None if evaluation is None else scorable(read_dataset(evaluation, language=language))
    if data is None:
        return quantize_native(
            source, output, Path(destination), test=test, gate=gate, limit=limit, force=force, progress=progress
        )
    sure_on = _confidence_data(confidence, data, options, language)
    answerer = QuestionAnswerer(source)
    held = tuple(held_out(_RANKING, len(data), seed=options.seed)) if gate else ()
    name = Path(destination)
    with scratch_folder(output) as folder:
        workshop = Workshop(source, answerer, data, options, folder, held, bars)
        if gate is not None and test is not None:
            ranking = ranking_questions(answerer, data, held)
            chosen = search(workshop, gate, ranking, test, name=name, limit=limit, progress=progress)
        else:
            progress("quantize")
            chosen = _by_recipe(workshop, test, name, limit, progress)
        candidate = chosen.candidate
        products: tuple[ProductError, ...] = ()
        if product_errors:
            progress("measure the matrix products")
            products = tuple(workshop.product_errors(candidate))
        record, unsure = None, None
        if sure_on is not None:
            try:
                record = _confidence(workshop, candidate, name, sure_on, progress)
            except InputError as error:
                if confidence is not None:
                    raise
                unsure = f"no confidence was fitted: {error}"
        result = Quantization(
            path=output,
            manifest=source.manifest,
            samples=candidate.samples,
            before=chosen.before,
            after=chosen.after,
            recipe=candidate.recipe,
            gate=chosen.result,
            products=products,
            notes=tuple(filter(None, (speed_note(options.target), few_samples(candidate.samples, data.name), unsure))),
            source_bytes=size_of(source.manifest),
            source_name=source.path.name,
        )
        progress("write")
        return _write(workshop, candidate, result, record, force)


def _by_recipe(
    workshop: Workshop,
    test: Dataset | None,
    name: Path,
    limit: int | None,
    progress: Progress,
) -> Chosen:
    """Make one candidate, without a gate, and score it if there is something to score it on."""
    candidate = workshop.make(workshop.options.recipe)
    quantized = workshop.open(candidate, name)
    _check_finite(quantized, name, candidate.first)
    if test is None:
        return Chosen(candidate)
    pair = [(str(workshop.source.path), workshop.answerer), (str(name), quantized)]
    before, after = evaluate(pair, test, limit=limit, progress=progress)
    return Chosen(candidate, before, after)


def _confidence_data(
    confidence: str | os.PathLike[str] | None, data: Dataset, options: QuantizationOptions, language: str | None
) -> Dataset | None:
    """The questions that fit the confidence, or None where there is to be none."""
    if confidence is not None:
        return read_dataset(confidence, language=language)
    enough = options.confidence and sum(bool(example.answers) for example in data) >= _ENOUGH_ANSWERS
    return data if enough else None


def _confidence(
    workshop: Workshop, candidate: Candidate, name: Path, data: Dataset, progress: Progress
) -> ConfidenceRecord:
    progress("fit the confidence")
    options = ConfidenceOptions(seed=workshop.options.seed)
    return fitted_confidence(workshop.open(candidate, name), data, options, progress)


def _write(
    workshop: Workshop, candidate: Candidate, result: Quantization, confidence: ConfidenceRecord | None, force: bool
) -> Quantization:
    """Write the bundle of a candidate; the result says the rest."""
    source = workshop.source
    with new_bundle(result.path, force=force) as draft:
        told = {
            "target": workshop.options.target,
            "samples": str(candidate.samples),
            "seed": str(workshop.options.seed),
            "calibration": workshop.data.name,
            "calibration_sha256": workshop.data.sha256,
            **candidate.recipe.as_options(),
            **gate_options(result.gate),
            **({} if confidence is None else {"confidence": confidence.dataset}),
        }
        step = made_by("quantize", told, source.manifest.digest, nncf=NNCF_VERSION)
        files, budgets = carry_budgets(source, workshop.bundle(candidate, result.path))
        parts = replace(
            parts_of_successor(source, step),
            precision="int8",
            target=workshop.options.target,
            budgets=budgets,
            scores=() if result.after is None else (result.after.record(),),
            confidence=confidence,
        )
        manifest = write_parts(draft, files, parts)
        written = read_back(draft, result.path)
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


def _check_finite(answerer: QuestionAnswerer, path: Path, sample: Inputs) -> None:
    if not all(np.isfinite(side).all() for side in answerer.engine.run(sample)):
        raise CalibrationError(
            "the quantized model gives logits that are not finite; nothing was written",
            where=path.name,
            remedy="check the checkpoint's weights with edge-qa evaluate",
        )
