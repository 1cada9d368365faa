"""A model that is hard to quantize: the same function, its attention channels scaled over orders of magnitude.

    python -m benchmarks.experiments.hard_to_quantize CHECKPOINT --calibration FILE --evaluation FILE
        [--decades 3] [--limit 500] [--max-drop 0.5] [--samples 60]

Each channel of the queries is multiplied by a factor between 10^-decades and 10^decades, and the same
channel of the keys divided by it; values and the columns of the output projection alike. Printed are the
scores of the scaled checkpoint's FP16 bundle, of NNCF's defaults and of what `quantize --max-drop` makes.
"""

import argparse
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.timing import describe_machine
from calibration.quantization.options import AccuracyGate, QuantizationOptions
from calibration.quantization.quantize import quantize
from calibration.quantization.recipes import NNCF_DEFAULT
from calibration.quantization.report import Quantization
from converters.checkpoints.checkpoint import read_checkpoint
from converters.checkpoints.weights import find_weight_files, write_weights
from converters.conversion import convert
from converters.model.encoder import Array
from edge_qa.errors import CalibrationError
from edge_qa.evaluation.evaluate import Evaluation

_QUERY = re.compile(r"(.*encoder\.layer\.\d+\.attention\.)self\.query\.weight")


def main() -> None:
    """Scale, convert, quantize both ways, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--decades", type=float, default=3.0)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--max-drop", type=float, default=0.5)
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()

    files = {"calibration": options.calibration, "evaluation": options.evaluation}
    wanted = QuantizationOptions(samples=options.samples)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        convert(scaled_checkpoint(options.checkpoint, place / "scaled", decades=options.decades), place / "fp16")
        plain = quantize(
            place / "fp16", place / "nncf", options=replace(wanted, recipe=NNCF_DEFAULT), limit=options.limit, **files
        )
        print(f"{describe_machine()}; {options.limit} questions, factors 1e-{options.decades:g}..1e{options.decades:g}")
        print(f"FP16               {_scores(plain.before)}")
        print(f"NNCF's defaults    {_scores(plain.after)}", flush=True)
        try:
            ours = quantize(
                place / "fp16",
                place / "tool",
                options=wanted,
                gate=AccuracyGate(options.max_drop),
                limit=options.limit,
                **files,
            )
        except CalibrationError as error:
            raise SystemExit(str(error)) from None
        print(f"the tool's choice  {_scores(ours.after)}, {_choice(ours)}")


def scaled_checkpoint(source: Path, destination: Path, *, decades: float, seed: int = 0) -> Path:
    """Write a copy of a BERT checkpoint that computes the same with badly scaled attention."""
    shutil.copytree(source, destination)
    for path in find_weight_files(destination):
        path.unlink()
    write_weights(destination, scale_attention(read_checkpoint(source).tensors, decades=decades, seed=seed))
    return destination


def scale_attention(tensors: dict[str, Array], *, decades: float, seed: int = 0) -> dict[str, Array]:
    """Scale the channels of every attention layer by factors log-uniform within so many decades of 1."""
    random = np.random.default_rng(seed)
    scaled = dict(tensors)

    def multiply(name: str, factors: Array) -> None:
        scaled[name] = (tensors[name].astype(np.float64) * factors).astype(np.float32)

    for found in filter(None, map(_QUERY.fullmatch, tensors)):
        name = found.group(1)
        keys, values = (
            10 ** random.uniform(-decades, decades, len(tensors[f"{name}self.{part}.weight"]))
            for part in ("query", "value")
        )
        for part, factors in (("query", keys), ("key", 1 / keys), ("value", values)):
            multiply(f"{name}self.{part}.weight", factors[:, None])
            multiply(f"{name}self.{part}.bias", factors)
        multiply(f"{name}output.dense.weight", 1 / values)
    return scaled


def _scores(evaluation: Evaluation | None) -> str:
    assert evaluation is not None
    return f"EM {evaluation.scores.exact_match:6.2f}  F1 {evaluation.scores.f1:6.2f}"


def _choice(result: Quantization) -> str:
    assert result.gate is not None
    return f"recipe {result.recipe.name}, drop {result.gate.drop}; {len(result.gate.trials)} tried"


if __name__ == "__main__":
    main()
