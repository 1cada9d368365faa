"""Bundle -> INT8 bundle: NNCF post-training quantization on real questions at their true length."""

import contextlib
import io
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from calibration.embeddings import quantize_tables, table_lookups
from calibration.overflow import fit_model
from calibration.samples import draw_samples
from converters.convert import tool_versions
from converters.ir_writer import write_ir
from edge_qa._openvino import ov, without_telemetry
from edge_qa.answerer import QuestionAnswerer
from edge_qa.atomic import check_destination
from edge_qa.bundle import Bundle, new_bundle
from edge_qa.dataset import Dataset, read_dataset
from edge_qa.errors import BundleError, CalibrationError
from edge_qa.evaluation import Evaluation, evaluate
from edge_qa.extras import missing_extra
from edge_qa.manifest import CARD, TOKENIZER, Manifest, Step, Target

without_telemetry()
try:
    import nncf
except ModuleNotFoundError as error:
    raise missing_extra(error, "calibrate") from None

# NNCF prints its log on stdout; it goes where the rest of the process logs.
_log = logging.getLogger("nncf")
_log.handlers.clear()
_log.propagate = True
_log.setLevel(logging.WARNING)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Quantization:
    """An INT8 bundle that was written; before and after are there if an evaluation file was given."""

    path: Path
    manifest: Manifest
    samples: int
    before: Evaluation | None
    after: Evaluation | None


def quantize(
    bundle: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str],
    evaluation: str | os.PathLike[str] | None = None,
    samples: int = 300,
    target: Target = "any",
    limit: int | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Progress = lambda stage: None,
    evaluation_progress: Callable[[int, int], None] = lambda done, total: None,
    bars: TextIO | None = None,
) -> Quantization:
    """Quantize the weights and activations of a bundle to 8 bits, embeddings included.

    calibration: questions with contexts, as a SQuAD file or JSON lines; answers are not needed.
    evaluation: score and time both bundles on this file, the after-scores into the manifest.
    samples: how many questions calibrate. limit: how many evaluate (all by default).
    target: the CPUs it will run on; "any" is right everywhere, "vnni" uses the full weight range.
    bars: where NNCF draws its progress bars, such as a terminal's stderr; nowhere by default.
    Raises InputError if no question of the calibration file can be used.
    """
    output = Path(os.path.abspath(destination))
    read = [bundle, calibration, *([] if evaluation is None else [evaluation])]
    check_destination(output, force=force, sources=read)
    progress("read")
    source = Bundle.load(bundle)
    if source.manifest.precision == "int8":
        raise BundleError(f"{source.path}: is quantized already; give the FP16 bundle that it was made from")
    data = read_dataset(calibration)
    test = None if evaluation is None else read_dataset(evaluation)
    answerer = QuestionAnswerer(source)
    inputs = draw_samples(answerer, data.examples, samples, seed=seed, where=calibration)
    progress("quantize")
    model = _quantize_model(source, inputs, target, bars)
    with new_bundle(output, force=force) as draft:
        progress("write")
        write_ir(model, draft.folder)
        draft.add(TOKENIZER, source.contents[TOKENIZER].tobytes())
        draft.add(CARD, source.contents[CARD].tobytes())
        options = {
            "target": target,
            "samples": str(len(inputs)),
            "seed": str(seed),
            "calibration": data.name,
            "calibration_sha256": data.sha256,
        }
        step = Step("quantize", options, source.manifest.digest, tool_versions() | {"nncf": nncf.__version__})
        parts = {
            "model": source.manifest.model,
            "io": source.manifest.io,
            "precision": "int8",
            "target": target,
            "defaults": source.manifest.defaults,
            "lineage": (*source.manifest.lineage, step),
        }
        manifest = draft.seal(**parts)
        progress("check")
        quantized = Bundle.load(draft.folder)
        _check_finite(quantized, inputs[0])
        before = after = None
        if test is not None:
            progress("evaluate")
            named = replace(quantized, path=Path(destination))
            before, after = _compare(source, answerer, named, test, limit, evaluation_progress)
            manifest = draft.seal(**parts, scores=(after.record(),))
    return Quantization(output, manifest, len(inputs), before, after)


def _quantize_model(
    source: Bundle, inputs: list[dict[str, np.ndarray]], target: Target, bars: TextIO | None
) -> "ov.Model":
    model = ov.Core().read_model(source.model_xml, ov.Tensor(source.model_bin))
    names = {role: record.name for role, record in source.manifest.io.inputs.items()}
    tables = [lookup.get_friendly_name() for lookup in table_lookups(model)]
    # NNCF draws its progress bars on stdout, where a command's data goes.
    with contextlib.redirect_stdout(bars or io.StringIO()):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(inputs, lambda sample: {name: sample[role] for role, name in names.items()}),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=[*tables, *_heads(model)]),
            # Weights in full 8 bits; calibration/overflow.py makes them safe where the target asks for it.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE),
        )
    quantize_tables(quantized)
    if target != "vnni":
        fit_model(quantized)
    return quantized


def _heads(model: "ov.Model") -> list[str]:
    """The products that give the logits: two rows of weights are no work, and every answer hangs on them."""
    names = []
    for result in model.get_results():
        node = result.input_value(0).get_node()
        while node.get_type_name() != "MatMul" and node.get_input_size():
            node = node.input_value(0).get_node()
        if node.get_type_name() == "MatMul" and node.get_friendly_name() not in names:
            names.append(node.get_friendly_name())
    return names


def _check_finite(bundle: Bundle, sample: dict[str, np.ndarray]) -> None:
    logits = QuestionAnswerer(bundle).engine.run(sample)
    if not all(np.isfinite(side).all() for side in logits):
        raise CalibrationError(
            f"{bundle.path.name}: the quantized model gives logits that are not finite; nothing was written; "
            "check the checkpoint's weights with edge-qa evaluate"
        )


def _compare(
    source: Bundle,
    answerer: QuestionAnswerer,
    quantized: Bundle,
    test: Dataset,
    limit: int | None,
    progress: Callable[[int, int], None],
) -> tuple[Evaluation, Evaluation]:
    pair = [(str(source.path), answerer), (str(quantized.path), QuestionAnswerer(quantized))]
    before, after = evaluate(pair, test, limit=limit, progress=progress)
    return before, after
