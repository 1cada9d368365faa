"""What makes a Dynamic-TinyBERT fast, factor by factor.

    python -m benchmarks.experiments.dynamic_tinybert --keep 1,1,1,.6,.4,.2

The card of Intel/dynamic_tinybert claims 3.3x over BERT-base from six layers and from sequences that get
shorter. Here the chain is taken apart, each step against the one before, in one process, alternating,
batch 1, on drawn weights of BERT-base's and TinyBERT-6L's size (they take the same time as trained ones):

    BERT-base FP32 padded to 384 -> true length -> INT8 -> six layers -> tokens dropped

Lengths are the 5th, 15th, .. 95th percentile of SQuAD 1.1 dev windows (mean 177); a step's time is the mean
of its medians over them. The shares to keep are those that `search-budgets` found for a six-layer model.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.experiments.block_sparse import EXAMPLES, HIDDEN, inputs_of, write_checkpoint
from benchmarks.timing import describe_machine, median_ms
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from converters.conversion import convert
from converters.token_budgets.budgets import budget_file, budget_files
from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.bundle import Bundle
from edge_qa.inference.engine import Engine

LENGTHS = (88, 120, 132, 143, 156, 170, 186, 206, 236, 301)
PADDED, STEP, TARGET = 384, 16, 10.0


def make_bundles(folder: Path, samples: int) -> None:
    """Write, convert and quantize both models, unless they are there from an earlier run."""
    for name, layers in (("base", 12), ("tiny", 6)):
        if not (folder / f"{name}-fp16").exists():
            write_checkpoint(folder / name, layers=layers)
            convert(folder / name, folder / f"{name}-fp16")
        if not (folder / f"{name}-int8").exists():
            data = EXAMPLES / "data" / "questions.json"
            quantize(
                folder / f"{name}-fp16",
                folder / f"{name}-int8",
                calibration=data,
                options=QuantizationOptions(samples=samples),
            )


def dropping(bundle: Bundle, keep: Keep) -> Engine:
    """An engine of the bundle with token dropping."""
    contents = {
        name: np.frombuffer(content, np.uint8) for name, content in budget_files(bundle, {"fast": keep}).items()
    }
    return Engine(replace(bundle, contents=bundle.contents | contents), xml=budget_file("fast"))


def main() -> None:
    """Print the time of each step and the factor that it gains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", required=True, help="share of tokens that each of six layers keeps: 1,1,1,.5,.4,.3")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--samples", type=int, default=8, help="questions that calibrate INT8")
    parser.add_argument("--folder", type=Path, help="keep the bundles here and use them again")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    probes = {layer: random.normal(0, 1, HIDDEN).astype(np.float32) for layer in range(6)}
    keep = Keep(tuple(float(share) for share in options.keep.split(",")), probes=probes)
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        place.mkdir(exist_ok=True)
        make_bundles(place, options.samples)
        base, base8, tiny8 = (Bundle.load(place / name) for name in ("base-fp16", "base-int8", "tiny-int8"))
        full = Engine(base)
        steps = {
            "BERT-base FP32, padded to 384": (full, PADDED),
            "true length": (full, None),
            "INT8": (Engine(base8), None),
            "six layers": (Engine(tiny8), None),
            "tokens dropped": (dropping(tiny8, keep), None),
        }
        print(describe_machine())
        times = dict.fromkeys(steps, 0.0)
        for length in LENGTHS:
            rounded = -(-length // STEP) * STEP
            runs = {name: partial(engine.run, inputs_of(fixed or rounded)) for name, (engine, fixed) in steps.items()}
            for name, median in median_ms(runs, rounds=options.rounds).items():
                times[name] += median / len(LENGTHS)
        before = first = next(iter(times.values()))
        for name, milliseconds in times.items():
            print(
                f"{name:32} {milliseconds:7.1f} ms  {before / milliseconds:5.2f}x  {first / milliseconds:6.2f}x in all"
            )
            before = milliseconds
        print(f"target {TARGET:.0f}x: {'met' if first / before >= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
