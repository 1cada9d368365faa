"""How much faster is a block-sparse BERT-base than a dense one? python -m benchmarks.experiments.block_sparse

Writes two checkpoints of BERT-base's size with drawn weights: a dense one, and one with the structure
that the card of madlag/bert-base-uncased-squad1.1-block-sparse-0.07-v1 describes (38 of 144 heads,
the others removed and listed under `pruned_heads`; feed-forward matrices of full size, of which zero
blocks of 32x32 leave 5 % in whole rows and columns; zero blocks in what is left of the attention;
7.5 % of the linear weights). Both are converted and quantized as a user would, and timed in one
process, alternating, batch 1. Drawn weights take the same time as trained ones.
"""

import argparse
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.timing import describe_machine, median_ms
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from converters.conversion import convert
from converters.ir.counting import count
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES
from edge_qa.inference.engine import Engine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LAYERS, HIDDEN, HEADS, HEAD_SIZE, FFN, VOCABULARY, POSITIONS, BLOCK = 12, 768, 12, 64, 3072, 30522, 512, 32
# What each layer keeps: 38 of 144 heads, 58 of 1152 blocks of 32 neurons, more in the lower layers.
KEPT_HEADS = (4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 2, 1)
KEPT_BLOCKS = (6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 3, 3)
LINEAR_WEIGHTS = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * FFN)
KEPT_WEIGHTS = 0.075 * LINEAR_WEIGHTS
# What the remaining heads' matrices keep, so that all together come to that.
ATTENTION_DENSITY = (KEPT_WEIGHTS - sum(KEPT_BLOCKS) * BLOCK * 2 * HIDDEN) / (sum(KEPT_HEADS) * HEAD_SIZE * 4 * HIDDEN)
LENGTHS, TARGET = (384, 178), 1.92

Tensors = dict[str, np.ndarray]


def draw_tensors(heads: tuple[int, ...]) -> Tensors:
    """The tensors of a BERT-base with so many heads in each layer, float32."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, 0.04, shape).astype(np.float32)

    def linear(name: str, outputs: int, inputs: int) -> Tensors:
        return {f"{name}.weight": draw(outputs, inputs), f"{name}.bias": draw(outputs)}

    def norm(name: str) -> Tensors:
        return {f"{name}.weight": np.ones(HIDDEN, np.float32), f"{name}.bias": draw(HIDDEN)}

    tensors = linear("qa_outputs", 2, HIDDEN) | norm("bert.embeddings.LayerNorm")
    for table, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)):
        tensors[f"bert.embeddings.{table}_embeddings.weight"] = draw(rows, HIDDEN)
    for layer, count_of_heads in enumerate(heads):
        name, width = f"bert.encoder.layer.{layer}", count_of_heads * HEAD_SIZE
        for part in ("query", "key", "value"):
            tensors |= linear(f"{name}.attention.self.{part}", width, HIDDEN)
        tensors |= linear(f"{name}.attention.output.dense", HIDDEN, width)
        tensors |= linear(f"{name}.intermediate.dense", FFN, HIDDEN) | linear(f"{name}.output.dense", HIDDEN, FFN)
        tensors |= norm(f"{name}.attention.output.LayerNorm") | norm(f"{name}.output.LayerNorm")
    return tensors


def make_sparse(tensors: Tensors) -> dict[str, list[int]]:
    """Set blocks to zero as the card has it; return `pruned_heads`."""
    random = np.random.default_rng(1)
    pruned = {}
    for layer in range(LAYERS):
        name = f"bert.encoder.layer.{layer}"
        pruned[str(layer)] = sorted(random.permutation(HEADS)[KEPT_HEADS[layer] :].tolist())
        blocks = random.permutation(FFN // BLOCK)[: KEPT_BLOCKS[layer]]
        dropped = ~np.isin(np.arange(FFN) // BLOCK, blocks)
        tensors[f"{name}.intermediate.dense.weight"][dropped] = 0
        tensors[f"{name}.output.dense.weight"][:, dropped] = 0
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weight = tensors[f"{name}.attention.{part}.weight"]
            kept = random.random([size // BLOCK for size in weight.shape]) < ATTENTION_DENSITY
            weight *= kept.repeat(BLOCK, 0).repeat(BLOCK, 1)
    return pruned


def write_checkpoint(folder: Path, *, sparse: bool = False, layers: int = LAYERS) -> None:
    """Write a checkpoint folder, and say how much of its matrices is not zero."""
    tensors = draw_tensors(KEPT_HEADS if sparse else (HEADS,) * layers)
    config = {
        "architectures": ["BertForQuestionAnswering"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "type_vocab_size": 2,
        "vocab_size": VOCABULARY,
        "pruned_heads": make_sparse(tensors) if sparse else {},
    }
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(EXAMPLES / "models" / "minilm-squad" / name, folder / name)
    matrices = [array for name, array in tensors.items() if "encoder" in name and array.ndim == 2]
    left = sum(map(np.count_nonzero, matrices))
    print(f"{folder.name}: {100 * left / LINEAR_WEIGHTS:.1f} % of a dense BERT-base's linear weights are not zero")


def inputs_of(tokens: int) -> dict[str, np.ndarray]:
    """Inputs of the contract, batch 1, no padding."""
    inputs = {role: np.ones((1, tokens), np.int64) for role in INPUT_ROLES}
    inputs["input_ids"] = np.random.default_rng(tokens).integers(1000, VOCABULARY, (1, tokens))
    return inputs | {"position_ids": np.arange(tokens)[None]}


def multiply_adds(bundle: Path, tokens: int) -> int:
    """Of all matrix products, counted on the bundle's graph."""
    loaded = Bundle.load(bundle)
    return count(this_core().read_model(loaded.model_xml, ov.Tensor(loaded.model_bin)), tokens).multiply_adds


def main() -> None:
    """Write, convert, quantize, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--samples", type=int, default=8, help="questions that calibrate INT8")
    parser.add_argument("--folder", type=Path, help="keep the bundles here and use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        place.mkdir(exist_ok=True)
        for kind in ("dense", "sparse"):
            if not (place / f"{kind}-fp16").exists():
                write_checkpoint(place / kind, sparse=kind == "sparse")
                model = convert(place / kind, place / f"{kind}-fp16").manifest.model
                shutil.rmtree(place / kind)
                print(f"  heads {model.heads}, widths {tuple(sum(widths) for widths in model.ffn_widths or ())}")
            if not (place / f"{kind}-int8").exists():
                data = EXAMPLES / "data" / "questions.json"
                quantize(
                    place / f"{kind}-fp16",
                    place / f"{kind}-int8",
                    calibration=data,
                    options=QuantizationOptions(samples=options.samples),
                )
        measure(place, options.rounds)


def measure(place: Path, rounds: int) -> None:
    """Time the four bundles side by side, and print the ratios."""
    print(describe_machine())
    print(f"milliseconds, batch 1, medians of {rounds} alternating rounds; activations float32 unless INT8")
    engines = {
        (kind, precision): Engine(Bundle.load(place / f"{kind}-{precision}"))
        for kind in ("dense", "sparse")
        for precision in ("fp16", "int8")
    }
    for tokens in LENGTHS:
        runs = {key: partial(engine.run, inputs_of(tokens)) for key, engine in engines.items()}
        times = median_ms(runs, rounds=rounds)
        fewer = multiply_adds(place / "dense-fp16", tokens) / multiply_adds(place / "sparse-fp16", tokens)
        for precision, name in (("fp16", "FP32"), ("int8", "INT8")):
            dense, sparse = times["dense", precision], times["sparse", precision]
            verdict = "met" if dense / sparse >= TARGET else "MISSED"
            print(
                f"{tokens} tokens {name}: dense {dense:6.1f}, block-sparse {sparse:6.1f}: {dense / sparse:.2f}x faster "
                f"({fewer:.2f}x fewer multiply-adds, {100 * dense / sparse / fewer:.0f} % of that reached); "
                f"target {TARGET}x {verdict}"
            )


if __name__ == "__main__":
    main()
