"""The machine's limit and how near to it INT8 comes: the VNNI peak on the spot, and where an inference's time goes.

The peak is the best of several INT8 products, the time of the product's own node, measured by OpenVINO. The share of
it that a model reaches is its multiply-adds, all matrix products counted on the IR, over the shortest of its times.
The attention's products run in f32, whose peak is lower: the whole of it is out of reach.

OpenVINO counts the microseconds of a node as the mean of all runs since the model was compiled. What a few runs took
is the difference of two such sums; the runs that warm up are in neither.
"""

import contextlib
import math
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side.figures import quantile
from converters.ir.counting import count
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES

# (rows, inputs, outputs): the products of MiniLM at 176 tokens and of BERT-base at 384, and two larger ones.
SHAPES = (
    *((176, 384, 1536), (176, 1536, 384)),
    *((384, 768, 768), (384, 768, 3072), (384, 3072, 768)),
    *((1024, 1024, 4096), (512, 4096, 1024)),
)
_ROUNDS, _WARM_UP = 25, 5
_BLOCK = 5  # runs whose mean is one time of a product
# Kinds of nodes that are matrix products with weights; the fused attention holds products of activations.
_PRODUCTS = ("FullyConnected", "MatMul")
# Kinds that take no time of their own.
_FREE = ("Input", "Output", "Const", "Parameter", "Result")


def vnni_peak(threads: int) -> dict[str, Any]:
    """Return INT8 multiply-adds per second of each shape, in 10^9, and the highest of them."""
    found = {}
    for shape in SHAPES:
        seconds = _product_seconds(*shape, threads)
        found["x".join(map(str, shape))] = round(math.prod(shape) / seconds / 1e9, 1)
    return {"gmacs": max(found.values()), "products": found}


def _product_seconds(rows: int, inputs: int, outputs: int, threads: int) -> float:
    op = ov.opset13
    random = np.random.default_rng(0)
    given = op.parameter([rows, inputs], ov.Type.f32, name="given")
    low, high = op.constant(np.float32(0)), op.constant(np.float32(255))
    rounded = op.fake_quantize(given, low, high, low, high, 256)
    weights = op.constant(random.integers(-127, 128, (outputs, inputs)).astype(np.int8))
    scaled = op.multiply(op.convert(weights, ov.Type.f32), op.constant(np.ones((outputs, 1), np.float32)))
    request = _request(ov.Model([op.matmul(rounded, scaled, False, True)], [given]), threads, profile=True)
    values = random.integers(0, 256, (rows, inputs)).astype(np.float32)
    sums = []  # seconds of all runs so far: after the warm-up, and after each block
    for number in range(1, _WARM_UP + _ROUNDS + 1):
        request.infer([values], share_inputs=True)
        if number >= _WARM_UP and (number - _WARM_UP) % _BLOCK == 0:
            products = [info for info in request.profiling_info if _is(info.node_type, _PRODUCTS)]
            sums.append(number * sum(info.real_time.total_seconds() for info in products))
    return float(min(np.diff(sums))) / _BLOCK


def time_split(bundle: Path, tokens: int, peak_gmacs: float, threads: int) -> dict[str, Any]:
    """Return one bundle's time at a length: in all, by kind of node, and the share of the peak that it reaches."""
    loaded = Bundle.load(bundle)
    model = this_core().read_model(loaded.model_xml, ov.Tensor(loaded.model_bin))
    macs = count(model, tokens).multiply_adds
    names = {role: record.name for role, record in loaded.manifest.io.inputs.items()}
    inputs = {names[role]: array for role, array in _inputs(tokens, loaded.manifest.model.vocabulary).items()}
    plain, profiled = _request(model, threads), _request(model, threads, profile=True)
    milliseconds, before = [], {}
    for number in range(1, _WARM_UP + _ROUNDS + 1):
        begin = time.perf_counter()
        plain.infer(inputs, share_inputs=True)
        elapsed = (time.perf_counter() - begin) * 1000
        profiled.infer(inputs, share_inputs=True)
        if number > _WARM_UP:
            milliseconds.append(elapsed)
        elif number == _WARM_UP:
            before = {info.node_name: number * info.real_time.total_seconds() for info in profiled.profiling_info}
    whole = quantile(milliseconds, 0.5)
    kinds: dict[str, float] = defaultdict(float)
    largest: dict[str, tuple[float, str]] = {}
    for info in profiled.profiling_info:
        seconds = (_WARM_UP + _ROUNDS) * info.real_time.total_seconds() - before[info.node_name]
        one = max(0.0, seconds / _ROUNDS * 1000)
        if info.node_type not in _FREE and one:
            kind = _kind(info)
            kinds[kind] += one
            largest[kind] = max(largest.get(kind, (0.0, "")), (one, info.node_name))
    split = dict(sorted(((kind, round(value, 4)) for kind, value in kinds.items()), key=lambda item: -item[1]))
    others = [kind for kind in split if not _is(kind, _PRODUCTS)]
    return {
        "tokens": tokens,
        "ms": round(whole, 3),
        "multiply_adds": macs,
        "gmacs": round(macs / min(milliseconds) / 1e6, 1),
        "share_of_peak": round(macs / min(milliseconds) / 1e6 / peak_gmacs, 4),
        "kinds_ms": split,
        "largest_others": [{"kind": kind, "ms": split[kind], "example": largest[kind][1]} for kind in others[:4]],
    }


def make_bert_base(place: Path, calibration: Path) -> Path:
    """Return an INT8 bundle of BERT-base's size with drawn weights: they take the same time as trained ones."""
    from benchmarks.experiments.block_sparse import write_checkpoint
    from calibration.quantization.options import QuantizationOptions
    from calibration.quantization.quantize import quantize
    from converters.conversion import convert

    bundle = place / "bert-base-int8"
    if not bundle.exists():
        # What it says of the checkpoint belongs to another benchmark.
        with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(sys.stderr):
            write_checkpoint(Path(temporary, "checkpoint"))
            convert(Path(temporary, "checkpoint"), Path(temporary, "fp16"))
            quantize(Path(temporary, "fp16"), bundle, calibration=calibration, options=QuantizationOptions(samples=8))
    return bundle


def _request(model: "ov.Model", threads: int, *, profile: bool = False) -> "ov.InferRequest":
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": False,
        "PERF_COUNT": profile,
    }
    return this_core().compile_model(model, "CPU", options).create_infer_request()


def _inputs(tokens: int, vocabulary: int) -> dict[str, np.ndarray]:
    inputs = {role: np.ones((1, tokens), np.int64) for role in INPUT_ROLES}
    inputs["input_ids"] = np.random.default_rng(tokens).integers(1000, vocabulary, (1, tokens))
    inputs["token_type_ids"][:, : tokens // 8] = 0
    return inputs | {"position_ids": np.arange(tokens)[None]}


def _kind(info: "ov.ProfilingInfo") -> str:
    """The node's kind; OpenVINO calls everything that it compiles by itself a subgraph, the attention among them."""
    fused = info.node_type == "Subgraph" and "attention" in info.node_name
    return "fused attention" if fused else info.node_type


def _is(kind: str, family: tuple[str, ...]) -> bool:
    return kind.startswith(family)
