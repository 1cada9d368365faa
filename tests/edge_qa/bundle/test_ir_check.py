"""What OpenVINO must not see: an IR that would crash its reader, or never end."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.ir_check import check_ir
from edge_qa.errors import BundleError, CheckpointError
from tests.support.places import ROOT
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("ir"))


@pytest.fixture(scope="module")
def xml(path) -> str:
    return (path / "model.xml").read_text()


@pytest.fixture(scope="module")
def size(path) -> int:
    return (path / "model.bin").stat().st_size


def second(pattern: str, new: str) -> Callable[[str], str]:
    """Replace the second place only: the first input is what every model has."""

    def change(xml: str) -> str:
        place = list(re.finditer(pattern, xml))[1]
        return xml[: place.start()] + new + xml[place.end() :]

    return change


LOOP = '<layer id="9999" name="loop" type="Loop" version="opset5"><input/><output/></layer></layers>'
DAMAGES = {
    "Broadcast with 0 inputs": second('type="Const"', 'type="Broadcast"'),
    "operation Loop": lambda xml: xml.replace("</layers>", LOOP),
    "operation ReadValue": second('type="Convert"', 'type="ReadValue"'),
    r"operation Convert \(extension\)": second('type="Convert" version="opset1"', 'type="Convert" version="extension"'),
    "Add with 1 inputs": second('type="Convert"', 'type="Add"'),
    "Split with 2 outputs": lambda xml: xml.replace('num_splits="2"', 'num_splits="1000000000"'),
    "constant outside of the": lambda xml: re.sub(r'offset="0" size', 'offset="99999999" size', xml, count=1),
    "bytes for a constant of shape": lambda xml: xml.replace('shape="94, 32"', 'shape="94, 33"'),
    "without type, shape or place": lambda xml: xml.replace('shape="94, 32"', 'shape="-94, -32"'),
    "no number, or there twice": lambda xml: xml.replace('<layer id="1"', '<layer id="0"'),
    "an edge from port": lambda xml: re.sub('from-layer="[0-9]+"', 'from-layer="123456"', xml, count=1),
    "an edge to port": lambda xml: re.sub('to-port="[0-9]+"', 'to-port="77"', xml, count=1),
    "with an input that nothing feeds": lambda xml: re.sub("<edge [^>]*>", "", xml, count=1),
    "two edges to port": lambda xml: re.sub("(<edge [^>]*>)", r"\1\1", xml, count=1),
    "a document type": lambda xml: xml.replace("<net", '<!DOCTYPE net [<!ENTITY a "b">]><net', 1),
    "inside <layer>": lambda xml: xml.replace("<data", "<body/><data", 1),
    "inside <dim>|inside <port>": lambda xml: xml.replace("<dim>-1</dim>", "<dim><layer/></dim>", 1),
    "two <layers>": lambda xml: xml.replace("<layers>", "<layers></layers><layers>"),
    "IR version '7'": lambda xml: xml.replace('version="11"', 'version="7"'),
    "mismatched tag": lambda xml: xml.replace("</layers>", "</layer>"),
    "another encoding": lambda xml: "",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_model_is_refused(xml, size, what):
    damaged = DAMAGES[what](xml)
    assert damaged != xml
    with pytest.raises(BundleError, match=f"model: not a model that is safe to read .*({what})"):
        check_ir(damaged.encode(), size, "model")


def test_operations_that_wait_for_each_other_are_refused(xml, size):
    # The first sum reads its own result.
    layer = re.search(r'<layer id="(\d+)"[^>]*type="Add".*?<output>\s*<port id="(\d+)"', xml, re.S)
    damaged = re.sub(
        f'<edge from-layer="[0-9]+" from-port="[0-9]+" to-layer="{layer[1]}" to-port="0"',
        f'<edge from-layer="{layer[1]}" from-port="{layer[2]}" to-layer="{layer[1]}" to-port="0"',
        xml,
    )
    assert damaged != xml
    with pytest.raises(BundleError, match="operations that wait for each other"):
        check_ir(damaged.encode(), size, "model")


def test_constants_may_not_be_the_same_bytes_thousands_of_times(xml, size):
    with pytest.raises(CheckpointError, match="bytes of constants in"):
        layers = "".join(
            f'<layer id="{900000 + i}" name="c" type="Const" version="opset1">'
            f'<data element_type="i8" shape="{size}" offset="0" size="{size}"/>'
            '<output><port id="0" precision="I8"/></output></layer>'
            for i in range(100)
        )
        check_ir(xml.replace("</layers>", layers + "</layers>").encode(), size, "model", error=CheckpointError)


def test_a_bundle_with_such_a_model_is_refused_though_its_digest_is_right(path):
    bundle = Bundle.load(path)
    damaged = DAMAGES["Broadcast with 0 inputs"](bundle.model_xml.decode()).encode()
    contents = bundle.contents | {"model.xml": np.frombuffer(damaged, np.uint8)}
    with pytest.raises(BundleError, match=r"model\.xml: not a model that is safe to read"):
        QuestionAnswerer(replace(bundle, contents=contents))


def test_a_model_whose_outputs_hold_nothing_is_refused(path):
    # The zeros of a Reshape then mean no elements, and the fused attention wrote past its memory.
    bundle = Bundle.load(path)
    damaged = bundle.model_xml.replace(b'special_zero="true"', b'special_zero="false"')
    contents = bundle.contents | {"model.xml": np.frombuffer(damaged, np.uint8)}
    with pytest.raises(BundleError, match=r"is no \(batch, tokens\)|OpenVINO cannot load the model"):
        QuestionAnswerer(replace(bundle, contents=contents))


def test_every_ir_that_the_repository_carries_passes():
    carried = sorted((ROOT / "examples").rglob("*.xml"))
    assert carried
    for model in carried:
        check_ir(model.read_bytes(), model.with_suffix(".bin").stat().st_size, model)


def test_the_check_brings_no_module_that_start_up_would_wait_for():
    code = "import sys, edge_qa.bundle.ir_check; print('xml.etree.ElementTree' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.fixture
def branching(tmp_path):
    """An If over two bodies, as the converter of traced models writes them."""
    ops = ov.opset13

    condition, x = ops.parameter([], bool), ops.parameter([-1, 2], np.float32)
    one, other = (ops.parameter([-1, 2], np.float32) for _ in range(2))
    then = ov.Model([ops.result(ops.relu(one))], [one])
    otherwise = ov.Model([ops.result(ops.add(other, ops.constant(np.ones(2, np.float32))))], [other])
    branch = ops.if_op(condition)
    branch.set_then_body(then)
    branch.set_else_body(otherwise)
    branch.set_input(x.output(0), one, other)
    output = branch.set_output(then.results[0], otherwise.results[0])
    ov.serialize(ov.Model([ops.result(output)], [condition, x]), tmp_path / "if.xml", tmp_path / "if.bin")
    return (tmp_path / "if.xml").read_text(), (tmp_path / "if.bin").stat().st_size


def test_the_branches_of_a_traced_model_pass(branching):
    xml, size = branching
    check_ir(xml.encode(), size, "m")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda xml: xml.replace('type="ReLU"', 'type="Loop"', 1), "operation Loop"),
        (lambda xml: re.sub(r"<then_body>.*?</then_body>", "", xml, flags=re.S), "If without its then_body"),
        (lambda xml: re.sub(r"<else_port_map>.*?</else_port_map>", "", xml, flags=re.S), "or else_port_map"),
        (lambda xml: xml.replace('internal_layer_id="0"', 'internal_layer_id="7"', 1), "that nothing feeds"),
        (
            lambda xml: re.sub(r'(<output external_port_id="\d+" internal_layer_id=)"\d+"', r'\1"9"', xml),
            "does not give",
        ),
        (lambda xml: xml.replace('external_port_id="1"', 'external_port_id="0"', 1), "that nothing feeds"),
        (lambda xml: xml.replace("<then_body>", "<body>").replace("</then_body>", "</body>"), "<body> inside <layer>"),
        (lambda xml: xml.replace('type="If"', 'type="ReLU"', 1), "inside <layer>"),
    ],
)
def test_branches_that_do_not_fit_are_refused(branching, change, reason):
    xml, size = branching
    changed = change(xml)
    assert changed != xml
    with pytest.raises(BundleError, match=reason):
        check_ir(changed.encode(), size, "m")
