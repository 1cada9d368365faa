"""Looking rows up before they are widened changes no number."""

import numpy as np
import pytest

from converters.lookup import widen_after_lookup
from edge_qa._openvino import ov

ops = ov.opset15


def model(table: np.ndarray, scale: np.ndarray | None) -> "ov.Model":
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    wide = ops.convert(ops.constant(table), "f32" if scale is None else str(scale.dtype).replace("float", "f"))
    if scale is not None:
        wide = ops.multiply(wide, ops.constant(scale))
    found = ops.gather(wide, ids, ops.constant(np.int64(0)), name="rows")
    if scale is not None and scale.dtype == np.float16:
        found = ops.convert(found, "f32")
    return ov.Model([ops.add(found, ops.constant(np.float32(1)))], [ids], "lookup")


def run(network: "ov.Model") -> np.ndarray:
    compiled = ov.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(np.array([[3, 0, 6], [6, 6, 1]]))[0].copy()


@pytest.mark.parametrize("scale_type", [np.float32, np.float16, None])
def test_the_same_rows_come_out(scale_type):
    random = np.random.default_rng(0)
    table = random.integers(-127, 128, (7, 5)).astype(np.int8)
    scale = None if scale_type is None else random.uniform(0.01, 0.1, (7, 1)).astype(scale_type)
    wanted = 1 + table[[[3, 0, 6], [6, 6, 1]]] * (
        1 if scale is None else scale.astype(np.float32)[[[3, 0, 6], [6, 6, 1]]]
    )
    network = model(table, scale)
    assert widen_after_lookup(network) == 1
    gathers = [node for node in network.get_ops() if node.get_type_name() == "Gather"]
    assert ov.Type.i8 in {node.get_element_type() for node in gathers}
    np.testing.assert_allclose(run(network), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("table", "scale"),
    [
        (np.ones((7, 5), np.float16), None),
        (np.ones((7, 5), np.int8), np.ones((1, 5), np.float32)),  # scaled by column: not by row
    ],
)
def test_other_tables_stay_as_they_are(table, scale):
    assert widen_after_lookup(model(table, scale)) == 0


def test_a_quantized_bundle_keeps_its_table_small(int8_bundle):
    from edge_qa.bundle import Bundle

    bundle = Bundle.load(int8_bundle)
    network = ov.Core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    tables = [
        node.input_value(0).get_node().get_output_shape(0)
        for node in network.get_ops()
        if node.get_type_name() == "Gather" and node.get_element_type() == ov.Type.i8
    ]
    assert [30522, 384] in [list(shape) for shape in tables]
