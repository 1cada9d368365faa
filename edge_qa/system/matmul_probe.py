"""Matrix products on the spot: how fast f32 and INT8 are on this CPU, and whether 8-bit sums are right."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_qa._openvino import ov, this_core
from edge_qa.system.cpu import this_cpu

# The larger product of a BERT-base layer at 384 tokens: (rows, inputs, outputs).
ROWS, INPUTS, OUTPUTS = 384, 768, 3072
_ROUNDS, _WARM_UP = 15, 3
# A sum of this many products of the largest 8-bit values does not fit into 16 bits, and fits into float32 exactly.
_DEPTH = 64


@dataclass(frozen=True)
class Products:
    """The fastest of several runs of one product each; other programs only ever make a run longer.

    shape: (rows, inputs, outputs).
    int8_sums_are_exact: False where 8-bit products saturate at 16 bits, as they do without VNNI.
    """

    shape: tuple[int, int, int]
    threads: int
    f32_ms: float
    int8_ms: float
    f32_gops: float
    int8_gops: float
    int8_speed: float
    int8_sums_are_exact: bool


def measure_products(threads: int | None = None) -> Products:
    """Time one f32 and one INT8 product in turns, and add up the largest 8-bit values."""
    used = threads or this_cpu().threads
    random = np.random.default_rng(0)
    weights = random.integers(-127, 128, (OUTPUTS, INPUTS))
    runs = [_compiled(_f32(ROWS, weights), used), _compiled(_int8(ROWS, weights), used)]
    given = random.integers(0, 256, (ROWS, INPUTS)).astype(np.float32)
    seconds: list[list[float]] = [[], []]
    for turn in range(_WARM_UP + _ROUNDS):
        for run, found in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run.infer([given], share_inputs=True)
            if turn >= _WARM_UP:
                found.append(time.perf_counter() - begin)
    operations = 2 * ROWS * INPUTS * OUTPUTS
    f32, int8 = min(seconds[0]), min(seconds[1])
    return Products(
        shape=(ROWS, INPUTS, OUTPUTS),
        threads=used,
        f32_ms=f32 * 1000,
        int8_ms=int8 * 1000,
        f32_gops=operations / f32 / 1e9,
        int8_gops=operations / int8 / 1e9,
        int8_speed=f32 / int8,
        int8_sums_are_exact=_sums_are_exact(used),
    )


def bf16_runs() -> bool:
    """Return whether OpenVINO can run a bf16 product; what it says of the CPU leaves out a cap on instruction sets."""
    if "BF16" not in this_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    try:
        _compiled(_f32(16, np.ones((16, 16))), 1, precision="bf16").infer([np.ones((16, 16), np.float32)])
    except RuntimeError:
        return False
    return True


def _sums_are_exact(threads: int) -> bool:
    rows, outputs = 32, 64
    run = _compiled(_int8(rows, np.full((outputs, _DEPTH), 127)), threads)
    run.infer([np.full((rows, _DEPTH), 255, np.float32)])
    return bool((run.get_output_tensor().data == 255 * 127 * _DEPTH).all())


def _compiled(model: "ov.Model", threads: int, *, precision: str = "f32") -> "ov.InferRequest":
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    return this_core().compile_model(model, "CPU", settings).create_infer_request()


def _f32(rows: int, weights: NDArray[np.generic]) -> "ov.Model":
    op = ov.opset13
    given = op.parameter([rows, weights.shape[1]], ov.Type.f32, name="given")
    return ov.Model([op.matmul(given, op.constant(weights.astype(np.float32)), False, True)], [given])


def _int8(rows: int, weights: NDArray[np.generic]) -> "ov.Model":
    """The same with inputs rounded to 0..255 and 8-bit weights, in the form that OpenVINO runs in INT8."""
    op = ov.opset13
    given = op.parameter([rows, weights.shape[1]], ov.Type.f32, name="given")
    low, high = op.constant(np.float32(0)), op.constant(np.float32(255))
    rounded = op.fake_quantize(given, low, high, low, high, 256)
    scale = op.constant(np.ones((len(weights), 1), np.float32))
    scaled = op.multiply(op.convert(op.constant(weights.astype(np.int8)), ov.Type.f32), scale)
    return ov.Model([op.matmul(rounded, scaled, False, True)], [given])
