"""Fit the rows that tell which tokens an answer will need, from each layer's input, without training.

The model itself is the teacher. In each calibration window its logits say how likely each token is to
begin or end the answer, and its attention says what those tokens look at in the layers to come. A
token's target in layer i is

    sqrt(P(start)) + sqrt(P(end)) + 0.3 sqrt(paid),    each divided by its largest in the window

with `paid` the attention, mean over heads, summed over the layers from i on, that the tokens pay it
which begin or end the answer (each weighed by its probability). A probe is the ridge regression of
the target on the layer's input; a constant does not change the order and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.ir.graph import MASKED_SCORE
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError
from edge_qa.inference.engine import LENGTH_STEP
from edge_qa.progress import Progress, no_progress

_ops = ov.opset15

Float = NDArray[np.float32]
Inputs = dict[str, NDArray[np.int64]]

# Measured on MiniLM with half of the tokens dropped before layer 3: 0.3 lost less than 0, 1 and 3.
_ATTENTION_WEIGHT = 0.3
# Relative to the mean variance of a feature.
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over tokens, for one layer: of x, of x x', of the target, of x times the target."""

    count: int
    x: NDArray[np.float64]
    xx: NDArray[np.float64]
    y: float
    xy: NDArray[np.float64]


def fit_probes(bundle: Bundle, samples: Sequence[Inputs], *, progress: Progress = no_progress) -> dict[int, Float]:
    """Return a probe, (hidden,), for every layer that has attention heads.

    samples: inputs of the contract, batch 1, at their true length. bundle: FP16 or INT8, made by
    `edge-qa convert`. Raises BundleError for an imported one.
    """
    teacher = _Teacher(bundle)
    moments: dict[int, _Moments] = {}
    for number, inputs in enumerate(samples, 1):
        for layer, (x, target) in teacher.lesson(inputs).items():
            # Sums over one window fit float32; those over all windows do not.
            total, squares, products = (part.astype(np.float64) for part in (x.sum(0), x.T @ x, x.T @ target))
            new = _Moments(len(x), total, squares, float(target.sum()), products)
            moments[layer] = _sum(moments[layer], new) if layer in moments else new
        progress("fit the probes", number, len(samples))
    return {layer: _solve(sums) for layer, sums in moments.items()}


def targets(start: Float, end: Float, paid: Float) -> Float:
    """Return what a probe should say of each token, (tokens,).

    start, end: logits, (tokens,). paid: attention that each token gets from the answer's, (tokens,).
    """
    parts = [np.exp(start - start.max()), np.exp(end - end.max()), paid / paid.max()]
    first, last, attention = (np.sqrt(part) for part in parts)
    result: Float = first + last + np.float32(_ATTENTION_WEIGHT) * attention
    return result


class _Teacher:
    """The model with the inputs of its layers, and the attention that the answer's tokens pay, as outputs."""

    def __init__(self, bundle: Bundle) -> None:
        model = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
        nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
        self.names = {role: record.name for role, record in bundle.manifest.io.inputs.items()}
        count = bundle.manifest.model.layers or 0
        self.layers = [i for i in range(count) if f"encoder.layer.{i}.attention.probabilities" in nodes]
        if not self.layers:
            raise BundleError(
                "no attention that edge-qa convert named", where=bundle.path, remedy="convert the checkpoint again"
            )
        logits = nodes["qa.logits"]
        gone = _ops.multiply(nodes["mask.padding"], _ops.constant(np.float32(MASKED_SCORE)))
        real = _ops.add(logits, _ops.unsqueeze(gone, _ops.constant(np.array([2], np.int64))))
        # How likely each token is to begin or end the answer: (batch, 1, 1, tokens).
        likely = _ops.reduce_mean(_ops.softmax(real, 1), _ops.constant(np.array([2], np.int64)), False)
        queries = _ops.unsqueeze(likely, _ops.constant(np.array([1, 2], np.int64)))
        outputs = [logits.output(0)]
        for layer in self.layers:
            probabilities = nodes[f"encoder.layer.{layer}.attention.probabilities"]
            paid = _ops.matmul(queries, probabilities, False, False)  # (batch, heads, 1, tokens)
            mean = _ops.reduce_mean(paid, _ops.constant(np.array([1, 2], np.int64)), False)
            outputs += [layer_input(nodes, layer), mean.output(0)]
        results = [_ops.result(output) for output in outputs]
        wider = ov.Model(results, model.get_parameters(), "teacher")
        compiled = this_core().compile_model(wider, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.request = compiled.create_infer_request()

    def lesson(self, inputs: Inputs) -> dict[int, tuple[Float, Float]]:
        """For each layer its input, (tokens, hidden), and each token's target."""
        tokens = inputs["input_ids"].shape[1]
        # OpenVINO keeps kernels for every length that it meets: 2,000 samples at their own took 2.2 GB.
        padding = ((0, 0), (0, -tokens % LENGTH_STEP))
        bound = {name: np.pad(inputs[role], padding) for role, name in self.names.items()}
        logits, *rest = (value[0, :tokens] for value in self.request.infer(bound).values())
        start, end = logits.T
        lesson, paid = {}, np.zeros_like(start)
        for place in reversed(range(len(self.layers))):
            paid = paid + rest[2 * place + 1]
            lesson[self.layers[place]] = (rest[2 * place], targets(start, end, paid))
        return lesson


def layer_input(nodes: dict[str, "ov.Node"], layer: int) -> "ov.Output":
    """The output of the layer before, in a model with the names of `converters/ir/graph.py`."""
    wide = nodes.get(f"encoder.layer.{layer}.bottleneck.output.residual")
    if wide is not None:
        return wide.input_value(1)
    return nodes[f"encoder.layer.{layer}.attention.output.residual"].input_value(0)


def _sum(a: _Moments, b: _Moments) -> _Moments:
    return _Moments(a.count + b.count, a.x + b.x, a.xx + b.xx, a.y + b.y, a.xy + b.xy)


def _solve(sums: _Moments) -> Float:
    mean = sums.x / sums.count
    covariance = sums.xx / sums.count - np.outer(mean, mean)
    slope = sums.xy / sums.count - mean * (sums.y / sums.count)
    ridge = _RIDGE * np.trace(covariance) / len(mean)
    probe: Float = np.linalg.solve(covariance + ridge * np.eye(len(mean)), slope).astype(np.float32)
    return probe
