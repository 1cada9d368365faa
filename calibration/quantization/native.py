"""Bundle -> the same bundle with a model for the native engine: 8 bits without calibration, under the same gate.

The native engine quantizes activations as they come, so nothing is calibrated and there is one recipe to judge. The
FP16 model stays in the bundle, for machines where the native engine is not.
"""

from dataclasses import dataclass
from pathlib import Path

from calibration.data.samples import draw_samples
from calibration.quantization.candidates import logits
from calibration.quantization.options import AccuracyGate
from calibration.quantization.product_errors import relative_error
from calibration.quantization.recipes import QuantizationRecipe
from calibration.quantization.report import METRIC_NAMES, GateResult, Quantization, Trial, gate_options, size_of
from calibration.statistics.score_drop import is_conclusive, score_drop, too_few_questions
from converters.bundle_writer import made_by
from converters.native.bundle import write_packed
from converters.native.pack import pack_bundle
from converters.native.packed_file import VERSION
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.errors import CalibrationError
from edge_qa.evaluation.dataset import Dataset
from edge_qa.evaluation.evaluate import Evaluation, evaluate
from edge_qa.files import scratch_folder
from edge_qa.progress import Progress, no_progress

# Channels of attention are balanced (converters/native/balance.py); what only NNCF has is off.
NATIVE = QuantizationRecipe("native", balance=True, smooth_quant=None)
# Inputs whose logits are compared with the float model's.
_PROBES = 8


@dataclass(frozen=True, eq=False)
class _Scored:
    before: Evaluation
    after: Evaluation
    gate: GateResult | None


def quantize_native(
    source: Bundle,
    output: Path,
    name: Path,
    *,
    test: Dataset | None = None,
    gate: AccuracyGate | None = None,
    limit: int | None = None,
    force: bool = False,
    progress: Progress = no_progress,
) -> Quantization:
    """Write `source` with a model for the native engine to `output`; `quantize` with engine="native" calls it.

    name: what messages call the output. test: score both engines on it. gate: what the metric may lose there.
    Raises BundleError for a model that the native engine cannot run, ResourceError if it is to be scored where the
    engine cannot run, CalibrationError if the gate is not met; then nothing is written.
    """
    progress("quantize")
    packed = pack_bundle(source)
    scored = None
    if test is not None:
        with scratch_folder(output) as folder:
            with new_bundle(folder / "packed") as draft:
                write_packed(draft, source, packed)
            scored = _score(source, folder / "packed", test, name, gate, limit, progress)
    progress("write")
    told = {"engine": "native", **NATIVE.as_options(), **gate_options(scored.gate if scored else None)}
    step = made_by("quantize", told, source.manifest.digest, packed_format=str(VERSION))
    # The scores that the source has are still those of its FP16 model, and name their engine.
    scores = (*source.manifest.scores, *([scored.after.record()] if scored else []))
    with new_bundle(output, force=force) as draft:
        manifest = write_packed(
            draft, source, packed, lineage=(*source.manifest.lineage, step), scores=scores, confidence=None
        )
    return Quantization(
        path=output,
        manifest=manifest,
        samples=0,
        before=scored.before if scored else None,
        after=scored.after if scored else None,
        recipe=NATIVE,
        gate=scored.gate if scored else None,
        source_name=source.path.name,
        source_bytes=size_of(source.manifest),
        written_bytes=size_of(manifest),
        engine="native",
    )


def _score(
    source: Bundle,
    packed: Path,
    test: Dataset,
    name: Path,
    gate: AccuracyGate | None,
    limit: int | None,
    progress: Progress,
) -> _Scored:
    """Let the float model and the packed one take turns on the evaluation file. Raises CalibrationError."""
    with QuestionAnswerer(source) as plain, QuestionAnswerer.load(packed, engine="native") as native:
        probes = draw_samples(plain, test.examples, _PROBES, where=test.where)
        error = relative_error(logits(native, probes), logits(plain, probes))
        pairs = [(str(source.path), plain), (str(name), native)]
        before, after = evaluate(pairs, test, limit=limit, progress=progress)
    if gate is None:
        return _Scored(before, after, None)
    drop = score_drop(test, before, after, gate.metric)
    if drop.points > gate.max_drop + 1e-9:  # sums of fractions
        raise CalibrationError(
            f"{name}: the native engine loses {drop.points:.2f} of {METRIC_NAMES[gate.metric]} on {test.name} (95 % "
            f"interval {drop.low:.2f} to {drop.high:.2f}, {drop.questions} questions), {gate.max_drop:g} are allowed; "
            "nothing was written; allow a larger `max_drop`, or quantize for OpenVINO, where more can be tried"
        )
    trial = Trial(NATIVE, error, None, after.latency.p50_ms, after.speed.ratio, drop, "passed")
    notes = tuple(too_few_questions(drop, gate.max_drop))
    conclusive = is_conclusive(drop, gate.max_drop)
    met = GateResult(gate.metric, gate.max_drop, drop, 0, False, (trial,), conclusive, notes)
    return _Scored(before, after, met)
