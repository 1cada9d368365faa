"""Where the time of a bundle goes, and what other ways to write its graph would change: before and after.

    python -m benchmarks.experiments.graph_variants BUNDLE [--lengths 178 384] [--rounds 40]

Prints the executed graph's time by kind of node, then each variant against the graph as it is, medians of
alternating rounds in one process. A variant changes how the same thing is computed, or, where it says so,
how exactly; the largest difference of its logits stands beside its time. Those that gain belong into
converters/ir/graph.py or calibration/quantization; this is the evidence that what is there is the fastest.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.experiments.token_dropping import inputs
from benchmarks.timing import describe_machine, median_ms
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML
from edge_qa.system.cpu import this_cpu

ops = ov.opset15
Change = Callable[["ov.Model"], None]
Nodes = dict[str, "ov.Node"]


def nodes(model: "ov.Model") -> Nodes:
    """The nodes of a model by name."""
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def values(node: "ov.Node") -> np.ndarray:
    """The numbers of a constant, also through the conversion that unpacks it."""
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.data)


def attentions(known: Nodes) -> list[str]:
    """The prefixes of the layers whose attention is there, such as `encoder.layer.0.attention`."""
    return [name.removesuffix(".products") for name in known if name.endswith(".attention.products")]


def as_it_is(model: "ov.Model") -> None:
    """Nothing."""


def products_in_float(model: "ov.Model") -> None:
    """q and k stay float: their product is not computed in 8 bits."""
    for name, node in nodes(model).items():
        if node.get_type_name() == "FakeQuantize" and (".query/" in name or ".key/" in name):
            node.output(0).replace(node.input_value(0))


def one_product_for_qkv(model: "ov.Model") -> None:
    """One matrix product gives q, k and v, and a split parts them."""
    known = nodes(model)
    for prefix in attentions(known):
        parts = [known[f"{prefix}.{part}"] for part in ("query", "key", "value")]
        products = [known[f"{prefix}.{part}.matmul"] for part in ("query", "key", "value")]
        weights = [product.input_value(1).get_node() for product in products]
        if all(weight.get_type_name() == "Multiply" for weight in weights):  # 8 bits and a scale
            stored = np.concatenate([values(weight.input_value(0).get_node()) for weight in weights])
            scale = np.concatenate([values(weight.input_value(1).get_node()) for weight in weights])
            joined = ops.multiply(ops.convert(ops.constant(stored), "f32"), ops.constant(scale.astype(np.float32)))
        else:
            joined = ops.constant(np.concatenate([values(weight).astype(np.float32) for weight in weights]))
        biases = [values(part.input_value(1).get_node()).astype(np.float32).reshape(-1) for part in parts]
        product = ops.matmul(products[0].input_value(0), joined, False, True)
        whole = ops.add(product, ops.constant(np.concatenate(biases)))
        sizes = ops.constant(np.array([len(bias) for bias in biases], np.int64))
        for part, output in zip(
            parts, ops.variadic_split(whole, ops.constant(np.int64(2)), sizes).outputs(), strict=True
        ):
            for reader in part.output(0).get_target_inputs():
                reader.replace_source_output(output)


def scale_in_query(model: "ov.Model") -> None:
    """1/sqrt(head size) is folded into the weights and the bias of q, and into what quantizes it."""
    known = nodes(model)
    for prefix in attentions(known):
        scaled, query = known[f"{prefix}.scaled"], known[f"{prefix}.query"]
        scale = np.float32(values(scaled.input_value(1).get_node()))
        weight = known[f"{prefix}.query.matmul"].input_value(1).get_node()
        if weight.get_type_name() == "Multiply":
            _replace(weight, 1, values(weight.input_value(1).get_node()) * scale)
        else:
            _replace(known[f"{prefix}.query.matmul"], 1, values(weight) * scale)
        _replace(query, 1, values(query.input_value(1).get_node()) * scale)
        for reader in query.output(0).get_target_inputs():
            quantize = reader.get_node()
            if quantize.get_type_name() == "FakeQuantize":
                for port in range(1, 5):
                    _replace(quantize, port, values(quantize.input_value(port).get_node()) * scale)
        scaled.output(0).replace(scaled.input_value(0))


def key_turned_in_product(model: "ov.Model") -> None:
    """The heads of k are laid out like those of q, and the product turns them."""
    known = nodes(model)
    for prefix in attentions(known):
        product, key = known[f"{prefix}.products"], known[f"{prefix}.key.heads"]
        key.input(1).replace_source_output(ops.constant(np.array([0, 2, 1, 3])).output(0))
        product.output(0).replace(ops.matmul(product.input_value(0), key, False, True).output(0))


def without_mask(model: "ov.Model") -> None:
    """No mask is added: right for one question without padding only; what the mask costs at most."""
    for name, node in nodes(model).items():
        if name.endswith(".attention.scores"):
            node.output(0).replace(node.input_value(0))


def tanh_gelu(model: "ov.Model") -> None:
    """GELU by its tanh formula; another function, off by up to 5e-4."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gelu":
            node.output(0).replace(ops.gelu(node.input_value(0), "tanh").output(0))


def relu(model: "ov.Model") -> None:
    """ReLU instead of GELU: another model; what GELU costs at most."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gelu":
            node.output(0).replace(ops.relu(node.input_value(0)).output(0))


VARIANTS: dict[str, tuple[Change, str]] = {
    "as it is": (as_it_is, "f32"),
    "bf16 attention and norms": (as_it_is, "bf16"),
    "q and k in float": (products_in_float, "f32"),
    "q and k in float, bf16": (products_in_float, "bf16"),
    "q, k, v as one product": (one_product_for_qkv, "f32"),
    "scale folded into q": (scale_in_query, "f32"),
    "k turned by the product": (key_turned_in_product, "f32"),
    "no mask (a bound)": (without_mask, "f32"),
    "GELU by tanh": (tanh_gelu, "f32"),
    "ReLU (a bound)": (relu, "f32"),
}


def _replace(node: "ov.Node", port: int, array: np.ndarray) -> None:
    node.input(port).replace_source_output(ops.constant(array.astype(np.float32)).output(0))


def request(bundle: Bundle, change: Change, precision: str, **options: object) -> "ov.InferRequest":
    """The bundle's model with a change, compiled as the runtime does but for the precision."""
    weights = ov.Tensor(bundle.contents[MODEL_BIN])
    core = this_core()
    model = core.read_model(bundle.contents[MODEL_XML].tobytes(), weights)
    change(model)
    model.validate_nodes_and_infer_types()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": this_cpu().threads,
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": False,
    }
    return core.compile_model(model, "CPU", settings | options).create_infer_request()


def time_by_kind(bundle: Bundle, sample: dict[str, np.ndarray], rounds: int) -> list[tuple[str, float]]:
    """Milliseconds by kind of executed node, largest first. Counters are means since the model was compiled."""
    run = request(bundle, as_it_is, "f32", PERF_COUNT=True)
    for _ in range(rounds):
        run.infer(sample)
    times: Counter[str] = Counter()
    for node in run.get_profiling_info():
        times[node.node_type] += node.real_time.total_seconds() * 1000
    return [(kind, spent) for kind, spent in times.most_common() if spent > 0]


def main() -> None:
    """Measure and print two tables in markdown for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--lengths", type=int, nargs="*", default=[178])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    print(describe_machine())
    for tokens in options.lengths:
        sample = inputs(bundle, tokens)
        kinds = time_by_kind(bundle, sample, options.rounds)
        whole = sum(spent for _, spent in kinds)
        print(
            f"\n{bundle.path}, {tokens} tokens: {whole:.2f} ms in nodes\n\n| kind of node | ms | share |\n|---|---|---|"
        )
        for kind, spent in kinds[:10]:
            print(f"| {kind} | {spent:.2f} | {spent / whole:.1%} |")
        requests = {name: request(bundle, change, precision) for name, (change, precision) in VARIANTS.items()}
        logits = {name: np.array(run.infer(sample)["output_s"]) for name, run in requests.items()}
        times = median_ms({name: partial(run.infer, sample) for name, run in requests.items()}, rounds=options.rounds)
        base = times["as it is"]
        print("\n| variant | ms | to the graph as it is | largest difference of a logit |\n|---|---|---|---|")
        for name, spent in times.items():
            difference = float(np.abs(logits[name] - logits["as it is"]).max())
            print(f"| {name} | {spent:.2f} | {spent / base:.3f} | {difference:.2g} |")


if __name__ == "__main__":
    main()
