"""Does rounding a feed-forward width up to a multiple help the CPU kernels?

    python -m benchmarks.experiments.width_rounding

Times models of feed-forward blocks alone (hidden size 768) that differ only in their width, at two
lengths, in float32 and INT8, alternating. A width that compaction leaves, such as 737, would be
rounded up if a rounder neighbour were faster than it.
"""

import argparse
import logging
from collections.abc import Callable

import nncf
import numpy as np

from benchmarks.timing import describe_machine, median_ms
from converters.ir.graph import build_graph
from converters.model.encoder import Attention, Embeddings, Encoder, FeedForward, Layer, Linear, Norm
from edge_qa._openvino import ov, this_core
from edge_qa.system.cpu import this_cpu

HIDDEN, BLOCKS, VOCABULARY = 768, 4, 100
GROUPS = ((737, 740, 744, 752, 768), (150, 152, 160, 176, 192))
LENGTHS = (178, 384)
Inputs = dict[str, np.ndarray]


def feed_forwards(width: int) -> Encoder:
    """An encoder of BLOCKS layers without heads, each with one block of `width` neurons."""
    random = np.random.default_rng(width)

    def linear(outputs: int, inputs: int) -> Linear:
        weight = random.normal(0, 0.05, (outputs, inputs)).astype(np.float32)
        return Linear(weight, random.normal(0, 0.1, outputs).astype(np.float32))

    def norm() -> Norm:
        return Norm(np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32), 1e-12)

    none = linear(0, HIDDEN)
    attention = Attention(0, 0.125, none, none, none, linear(HIDDEN, 0))
    layers = tuple(
        Layer(attention, norm(), (FeedForward(linear(width, HIDDEN), linear(HIDDEN, width), norm()),))
        for _ in range(BLOCKS)
    )
    word, position = (random.normal(0, 1, (rows, HIDDEN)).astype(np.float32) for rows in (VOCABULARY, 512))
    return Encoder("bert", Embeddings(word, position, 0, None, norm()), layers, "gelu", linear(2, HIDDEN))


def inputs(tokens: int) -> Inputs:
    """Inputs of the contract, batch 1, no padding."""
    random = np.random.default_rng(tokens)
    return {
        "input_ids": random.integers(0, VOCABULARY, (1, tokens)),
        "attention_mask": np.ones((1, tokens), np.int64),
        "token_type_ids": np.zeros((1, tokens), np.int64),
        "position_ids": np.arange(tokens)[None],
    }


def compiled(model: "ov.Model", tokens: int) -> Callable[[], object]:
    """A call that runs the model once, compiled as the runtime does."""
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": this_cpu().threads,
    }
    request = this_core().compile_model(model, "CPU", settings).create_infer_request()
    sample = inputs(tokens)
    return lambda: request.infer(sample)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    nncf.set_log_level(logging.WARNING)
    print(describe_machine())
    print(f"milliseconds for {BLOCKS} blocks, hidden size {HIDDEN}, batch 1, medians of {rounds} alternating rounds")
    for widths in GROUPS:
        models = {width: build_graph(feed_forwards(width)) for width in widths}
        samples = nncf.Dataset([inputs(tokens) for tokens in LENGTHS])
        int8 = {
            width: nncf.quantize(model, samples, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(LENGTHS))
            for width, model in models.items()
        }
        for name, kind in (("f32", models), ("INT8", int8)):
            for tokens in LENGTHS:
                times = median_ms({width: compiled(kind[width], tokens) for width in widths}, rounds=rounds)
                row = "  ".join(f"{width}: {times[width]:6.2f}" for width in widths)
                print(f"{name:>4} {tokens} tokens   {row}")


if __name__ == "__main__":
    main()
