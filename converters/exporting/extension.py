"""The model for programs that run OpenVINO with the native engine as an extension: `kernels/openvino`.

One operation with the packed file as its constant; inputs and outputs are those of every bundle. It is built here
under the name and the attributes that `kernels/openvino/extension.cpp` gives it, without that library.
"""

import numpy as np
from numpy.typing import NDArray

from converters.exporting.repository import Repository
from converters.ir.storage import write_ir
from converters.native.pack import pack_bundle
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES, MODEL_XML, OUTPUT_ROLES, PACKED_MODEL

# Of `budget`: every token is kept.
_NO_BUDGET = -1
# About a question and a paragraph of SQuAD.
_SAMPLE_TOKENS = 178


def write(bundle: Bundle, repository: Repository) -> list[str]:
    """Write model.xml and model.bin; returns how they are run. Raises BundleError if the engine cannot run it."""
    packed = bundle.map(PACKED_MODEL)[:] if PACKED_MODEL in bundle.manifest.files else pack_bundle(bundle)
    write_ir(extension_model(packed), repository.folder)
    # benchmark_app would draw token types that no model has.
    for role, values in _sample(bundle).items():
        np.save(repository.folder / f"{role}.npy", values)
    folder = repository.final
    samples = ",".join(f"{role}:{folder / role}.npy" for role in INPUT_ROLES)
    return [
        "cmake -S kernels -B build -DEDGE_QA_OPENVINO=ON -DOpenVINO_DIR=FOLDER && cmake --build build",
        f"benchmark_app -m {folder / MODEL_XML} -extensions build/libedge_qa_openvino.so -i {samples}",
    ]


def _sample(bundle: Bundle) -> dict[str, NDArray[np.int64]]:
    """One input of each role, (1, tokens)."""
    tokens = min(_SAMPLE_TOKENS, bundle.manifest.model.longest_input)
    places = np.arange(tokens)[None]
    one = np.ones_like(places)
    values = (places % bundle.manifest.model.vocabulary, one, np.zeros_like(places), places)
    return dict(zip(INPUT_ROLES, values, strict=True))


def extension_model(packed: bytes) -> "ov.Model":
    """Return a model whose one operation runs a packed file."""
    inputs = []
    for role in INPUT_ROLES:
        parameter = ov.opset15.parameter(ov.PartialShape([-1, -1]), ov.Type.i64, name=role)
        parameter.output(0).set_names({role})
        inputs.append(parameter)
    constant = ov.op.Constant(np.frombuffer(packed, np.uint8).copy())
    constant.set_friendly_name("packed")
    encoder = _operation()([*inputs, constant])
    encoder.set_friendly_name("encoder")
    results = []
    for port, role in enumerate(OUTPUT_ROLES):
        encoder.output(port).set_names({role})
        results.append(ov.opset15.result(encoder.output(port), name=f"{role}/result"))
    return ov.Model(results, inputs, "edge_qa")


def _operation() -> "type[ov.Op]":
    """The class of the operation; its name and version are what the extension's must be."""

    class EdgeQaEncoder(ov.Op):  # type: ignore[misc]
        def __init__(self, inputs: list["ov.Node"]) -> None:
            super().__init__(self)
            self.set_arguments([node.output(0) for node in inputs])
            self.constructor_validate_and_infer_types()

        def validate_and_infer_types(self) -> None:
            for port in range(2):
                self.set_output_type(port, ov.Type.f32, self.get_input_partial_shape(0))

        def clone_with_new_inputs(self, inputs: list["ov.Output"]) -> "EdgeQaEncoder":
            return EdgeQaEncoder([port.get_node() for port in inputs])

        def visit_attributes(self, visitor: "ov.AttributeVisitor") -> bool:
            visitor.on_attributes({"budget": _NO_BUDGET})
            return True

    return EdgeQaEncoder
