"""How large the inputs of every linear layer are on real questions: what Wanda weighs magnitudes with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from converters.ir.constants import product_weights
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.progress import Progress, no_progress
from edge_qa.system.cpu import this_cpu

_ops = ov.opset15


def input_norms(
    bundle: Bundle, inputs: Sequence[Inputs], *, progress: Progress = no_progress
) -> dict[str, NDArray[np.float64]]:
    """Return ||x||_2 of each input channel of every matrix product with a weight, over all tokens of all inputs.

    bundle: FP16, from `convert`; its graph runs with the sums of squares as its outputs.
    inputs: samples of batch 1 without padding, as `draw_samples` gives them.
    Keys are the names of converters/model/matrices.py, values (in,). q, k and v, which read the same, are
    summed once.
    """
    model = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    sources: dict[str, str] = {}  # product -> what it reads
    sums: dict[str, ov.Node] = {}
    for node, index, _ in product_weights(model):
        read = node.input_value(1 - index)
        source = read.get_node().get_friendly_name()
        sources[node.get_friendly_name().removesuffix(".matmul")] = source
        if source not in sums:
            axes = _ops.constant(np.array([0, 1], np.int64))
            sums[source] = _ops.reduce_sum(_ops.multiply(read, read), axes, keep_dims=False)
    observed = ov.Model([_ops.result(total) for total in sums.values()], model.get_parameters(), "input_norms")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": this_cpu().threads}
    request = this_core().compile_model(observed, "CPU", settings).create_infer_request()
    names = {role: record.name for role, record in bundle.manifest.io.inputs.items()}
    squares = [0.0] * len(sums)
    for done, sample in enumerate(inputs, 1):
        request.infer({name: sample[role] for role, name in names.items()}, share_inputs=False)
        # Over thousands of tokens the sums outgrow float32.
        squares = [
            total + request.get_output_tensor(place).data.astype(np.float64) for place, total in enumerate(squares)
        ]
        progress("calibrate", done, len(inputs))
    norms = {source: np.sqrt(total) for source, total in zip(sums, squares, strict=True)}
    return {name: norms[source] for name, source in sources.items()}
