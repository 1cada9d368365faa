"""Embedding tables in 8 bits."""

import numpy as np
import pytest

from calibration.quantization.embeddings import quantize_tables, table_lookups
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle

ops = ov.opset15
IDS = np.array([[3, 0, 6], [6, 6, 1]])


def model(table: np.ndarray, axis: int = 0) -> "ov.Model":
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    source = ops.constant(table)
    if table.dtype == np.float16:
        source = ops.convert(source, "f32")
    found = ops.gather(source, ids, ops.constant(np.int64(axis)), name="rows")
    return ov.Model(
        [ops.add(found, ops.constant(np.ones((), table.dtype if table.dtype == np.int64 else np.float32)))],
        [ids],
        "lookup",
    )


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_rows_come_back_within_half_a_step(kind):
    table = np.random.default_rng(0).normal(size=(7, 5)).astype(kind)
    table[6] = 0  # a row of zeros has no scale
    network = model(table)
    quantize_tables(network)
    network.validate_nodes_and_infer_types()
    assert not table_lookups(network)
    got = ov.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(IDS)[0] - 1
    wanted = table[IDS].astype(np.float32)
    step = np.abs(wanted).max(axis=-1, keepdims=True) / 127
    assert (np.abs(got - wanted) <= 0.5 * step + 1e-6).all()
    assert np.abs(got - wanted).max() > 1e-4  # it is 8 bits, not the float table
    np.testing.assert_array_equal(got[1, 0], 0)


@pytest.mark.parametrize(
    ("table", "axis"), [(np.ones((7, 5), np.int64), 0), (np.ones(7, np.float32), 0), (np.ones((7, 7), np.float32), 1)]
)
def test_other_gathers_stay_as_they_are(table, axis):
    assert table_lookups(model(table, axis)) == []


def test_a_quantized_bundle_looks_rows_up_before_it_widens_them(int8_bundle):
    bundle = Bundle.load(int8_bundle)
    network = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    tables = {
        node.input_value(0).get_node().get_friendly_name(): list(node.input_value(0).get_node().get_output_shape(0))
        for node in network.get_ops()
        if node.get_type_name() == "Gather" and node.get_element_type() == ov.Type.i8
    }
    assert tables == {
        "embeddings.word.weight": [30522, 384],
        "embeddings.position.weight": [512, 384],
        "embeddings.token_type.weight": [2, 384],
    }


def test_the_safe_target_costs_the_tables_nothing(fp16_bundle, questions, tmp_path):
    made = quantize(
        fp16_bundle, tmp_path / "any", calibration=questions, options=QuantizationOptions(samples=1, target="any")
    ).path
    bundle = Bundle.load(made)
    network = this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    (words,) = (n.get_data() for n in network.get_ops() if n.get_friendly_name() == "embeddings.word.weight")
    assert np.abs(words.astype(int)).max() == 127
