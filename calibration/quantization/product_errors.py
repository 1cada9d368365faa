"""What each quantized matrix product does to the logits, alone: the others compute in float meanwhile.

NNCF's model has a switch at each input of a product: from what was quantized back to what it was made
from. With every switch on float it is the float model again; then one product after the other is quantized.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from edge_qa._openvino import ov, this_core
from edge_qa.progress import Progress, no_progress

_TRANSPARENT = ("Reshape", "Transpose", "Unsqueeze", "Squeeze")


@dataclass(frozen=True)
class ProductError:
    """error: the logits' root mean square change, relative to their root mean square, if only this is quantized."""

    product: str
    error: float


@dataclass(frozen=True, eq=False)
class _Switch:
    """One input of one node: the source it has, and the float one."""

    port: "ov.Input"
    quantized: "ov.Output"
    float_: "ov.Output"


def product_errors(
    original: "ov.Model",
    quantized: "ov.Model",
    samples: Sequence[Inputs],
    progress: Progress = no_progress,
) -> list[ProductError]:
    """Return every quantized product with its error, the worst first.

    original: the float model that NNCF was given. quantized: what it returned; changed here, not to be used after.
    samples: inputs by the names of the model's parameters; a handful does.
    """
    products = float_switches(original, quantized)
    for switches in products.values():
        _set(switches, "float_")
    wanted = _logits(quantized, samples)
    found = []
    for number, (name, switches) in enumerate(products.items(), 1):
        _set(switches, "quantized")
        found.append(ProductError(name, relative_error(_logits(quantized, samples), wanted)))
        _set(switches, "float_")
        progress("measure the matrix products", number, len(products))
    return sorted(found, key=lambda one: (-one.error, one.product))


def relative_error(got: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]]) -> float:
    """Return the root of the mean over samples of |got - wanted|^2 / |wanted|^2; infinite if a logit is not finite."""
    shares = [
        np.square(g - w, dtype=np.float64).sum() / max(np.square(w, dtype=np.float64).sum(), 1e-30)
        for g, w in zip(got, wanted, strict=True)
    ]
    error = float(np.sqrt(np.mean(shares)))
    return error if np.isfinite(error) else float("inf")


def float_switches(original: "ov.Model", quantized: "ov.Model") -> dict[str, list[_Switch]]:
    """Find, for each quantized product by name, the inputs that make it so, with what they read in float."""
    nodes = {node.get_friendly_name(): node for node in original.get_ordered_ops()}
    found = {}
    for node in quantized.get_ordered_ops():
        twin = nodes.get(node.get_friendly_name())
        if node.get_type_name() != "MatMul" or twin is None or twin.get_type_name() != "MatMul":
            continue
        switches = _activations(node)
        weights = _weights(node, twin)
        if weights is not None:
            switches += [weights, *_bias(node, nodes)]
        if switches:
            found[node.get_friendly_name()] = switches
    return found


def _activations(product: "ov.Node") -> list[_Switch]:
    """The inputs that a FakeQuantize feeds, directly or through what only moves values."""
    switches = []
    for index in (0, 1):
        port = product.input(index)
        while port.get_source_output().get_node().get_type_name() in _TRANSPARENT:
            port = port.get_source_output().get_node().input(0)
        source = port.get_source_output()
        if source.get_node().get_type_name() == "FakeQuantize":
            switches.append(_Switch(port, source, source.get_node().input_value(0)))
    return switches


def _weights(product: "ov.Node", twin: "ov.Node") -> _Switch | None:
    """The switch to the float weights, with what SmoothQuant divides the activations by put into them."""
    old, new = _folded(twin.input_value(1)), product.input_value(1)
    if old is None or new.get_node().get_type_name() == "Constant" or _folded(new) is not None:
        return None
    along = (1, -1) if product.get_attributes()["transpose_b"] else (-1, 1)
    source = product.input_value(0).get_node()
    if source.get_type_name() == "FakeQuantize":
        source = source.input_value(0).get_node()
    if source.get_type_name() == "Multiply" and source.get_friendly_name().endswith("nncf_smooth_quant"):
        old = old / source.input_value(1).get_node().get_data().astype(np.float32).reshape(along)
    constant = ov.op.Constant(np.ascontiguousarray(old, np.float32))
    return _Switch(product.input(1), new, constant.output(0))


def _bias(product: "ov.Node", nodes: dict[str, "ov.Node"]) -> list[_Switch]:
    """The switch from a corrected bias to the original one."""
    switches = []
    for reader in product.output(0).get_target_inputs():
        add = reader.get_node()
        twin = nodes.get(add.get_friendly_name())
        if add.get_type_name() != "Add" or twin is None:
            continue
        index = 1 - reader.get_index()
        bias = _folded(twin.input_value(index))
        if bias is not None:
            constant = ov.op.Constant(np.ascontiguousarray(bias, np.float32))
            switches.append(_Switch(add.input(index), add.input_value(index), constant.output(0)))
    return switches


def _folded(output: "ov.Output") -> NDArray[np.float32] | None:
    """The float constant behind an output, through the conversion that widens float16; None if there is none."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or not node.get_element_type().is_real():
        return None
    array: NDArray[np.float32] = node.get_data().astype(np.float32)
    return array


def _set(switches: Sequence[_Switch], side: str) -> None:
    for switch in switches:
        switch.port.replace_source_output(getattr(switch, side))


def _logits(model: "ov.Model", samples: Sequence[Inputs]) -> list[NDArray[np.float32]]:
    compiled = this_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = []
    for sample in samples:
        results = compiled(dict(sample), share_inputs=False, share_outputs=False)
        found.append(np.concatenate([np.ravel(results[index]) for index in range(len(compiled.outputs))]))
    return found
