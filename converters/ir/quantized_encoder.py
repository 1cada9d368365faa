"""Read a bundle quantized by `edge-qa quantize` back into an Encoder that keeps the codes of its weights.

NNCF rounds what a product reads (FakeQuantize) and may scale it before (SmoothQuant). The rounding of activations is
left out: whoever runs the Encoder quantizes them in its own way. The scaling stays, beside the weights that were
made for it.
"""

from dataclasses import fields

import numpy as np

from converters.ir.bundle_encoder import BundleReader, read_model
from converters.ir.constants import stored_values, weight_behind
from converters.model.coded import CodedEmbeddings, CodedLinear, CodedTable
from converters.model.encoder import Array, Embeddings, Encoder, Linear
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError

_SMOOTHING = "nncf_smooth_quant"


def read_back_quantized(bundle: Bundle) -> Encoder:
    """Return the Encoder of a quantized bundle: CodedLinear and CodedEmbeddings where it has 8-bit weights.

    Raises BundleError for an IR with other names than those `convert` gives.
    """
    return _QuantizedReader(read_model(bundle), bundle).encoder()


class _QuantizedReader(BundleReader):
    def __init__(self, model: "ov.Model", bundle: Bundle) -> None:
        super().__init__(model, bundle)
        self.coded: dict[str, CodedTable] = {}
        self.factors: dict[str, Array] = {}

    def linear(self, name: str) -> Linear:
        product = self.find(f"{name}.matmul", "MatMul")
        bias = self.array(self.find(name, "Add"), 1)
        factor = self.factor(product)
        weight = weight_behind(product.input_value(1))
        if weight is None or weight.zero_point is not None or weight.quantizer is not None:
            raise BundleError(
                f"the weights of {name} are stored in a way that is not known",
                where=self.where,
                remedy="quantize the FP16 bundle again",
            )
        if not weight.is_integer or weight.scale is None:
            values = self.array(product, 1)
            return Linear(values if factor is None else values.astype(np.float32) * factor, bias)
        codes = np.array(weight.values, np.int8)
        scales = np.broadcast_to(stored_values(weight.scale).reshape(-1), codes.shape[:1]).astype(np.float32)
        floats = codes.astype(np.float32) * scales[:, None]
        return CodedLinear(floats if factor is None else floats * factor, bias, codes, scales, factor)

    def factor(self, product: "ov.Node") -> Array | None:
        """What SmoothQuant multiplies the product's input by, (inputs,)."""
        source = product.input_value(0).get_node()
        if source.get_type_name() == "FakeQuantize":
            source = source.input_value(0).get_node()
        if source.get_type_name() != "Multiply" or _SMOOTHING not in source.get_friendly_name():
            return None
        name = source.get_friendly_name()
        if name not in self.factors:
            self.factors[name] = stored_values(source.input_value(1).get_node()).astype(np.float32).ravel()
        return self.factors[name]

    def table(self, name: str) -> Array:
        if f"{name}.rows" not in self.nodes:
            return super().table(name)
        codes = self.array(self.find(f"{name}.rows", "Gather"), 0)
        scales = self.array(self.find(f"{name}.scale", "Gather"), 0).astype(np.float32).ravel()
        self.coded[name.removeprefix("embeddings.")] = CodedTable(codes, scales)
        return codes.astype(np.float32) * scales[:, None]

    def embeddings(self) -> Embeddings:
        plain = super().embeddings()
        return CodedEmbeddings(**{part.name: getattr(plain, part.name) for part in fields(plain)}, coded=self.coded)
