"""Read an FP16 bundle back into the Encoder that it was built from, from its IR alone.

The names that `converters/ir/graph.py` gives are the anchors; from each the constants are followed.
What plays no part in the result is not in the graph: a layer without heads has no scale (that of
another layer is taken) and no `shared` bottleneck, a model without feed-forward neurons no activation.
"""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.encoder import (
    Activation,
    Array,
    Attention,
    AttentionInput,
    Bottleneck,
    Embeddings,
    Encoder,
    FeedForward,
    Layer,
    Linear,
    Norm,
    Relative,
)
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError


def read_back(bundle: Bundle) -> Encoder:
    """Return the Encoder of a bundle that `convert` wrote, with the weights as they are stored.

    Layers that share their weights are the same object again. Raises BundleError for a quantized
    bundle, and for an IR with other names.
    """
    if bundle.manifest.precision == "int8":
        raise BundleError("is quantized", where=bundle.path, remedy="give the FP16 bundle that it was made from")
    return BundleReader(read_model(bundle), bundle).encoder()


def read_model(bundle: Bundle) -> "ov.Model":
    """Return the model of a bundle. Raises BundleError."""
    try:
        return this_core().read_model(bundle.model_xml, ov.Tensor(bundle.model_bin))
    except RuntimeError:
        raise BundleError("OpenVINO cannot read its model", where=bundle.path, remedy="make the bundle again") from None


class BundleReader:
    """Finds nodes by name, and the numpy array of each constant once."""

    def __init__(self, model: "ov.Model", bundle: Bundle) -> None:
        self.where = bundle.path
        self.family = bundle.manifest.model.family
        self.nodes: dict[str, ov.Node] = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
        self.arrays: dict[str, Array] = {}

    def encoder(self) -> Encoder:
        """Return the whole Encoder."""
        names = [f"encoder.layer.{index}" for index in self.count("encoder.layer.{}.attention.norm")]
        layers = [self.layer(name) for name in names]
        scales = [layer.attention.scale for layer in layers if layer.attention.heads]
        scale = scales[0] if scales else 1.0
        layers = [layer if layer.attention.heads else _with_scale(layer, scale) for layer in layers]
        return Encoder(self.family, self.embeddings(), _shared(layers), self.activation(), self.linear("qa.logits"))

    # The graph

    def find(self, name: str, kind: str) -> "ov.Node":
        """Return the node of a name and kind. Raises BundleError if there is none."""
        node = self.nodes.get(name)
        if node is None or node.get_type_name() != kind:
            raise BundleError(
                f"its model has no {kind} called {name}; wanted a bundle that edge-qa convert wrote with FP16 weights",
                where=self.where,
                remedy="convert the checkpoint again",
            )
        return node

    def count(self, pattern: str) -> list[int]:
        """0, 1, .. for as long as the pattern with that number names a node."""
        return list(itertools.takewhile(lambda number: pattern.format(number) in self.nodes, itertools.count()))

    def array(self, node: "ov.Node", index: int) -> Array:
        """The constant behind an input, through the conversion that widens float16."""
        source = node.input_value(index).get_node()
        if source.get_type_name() == "Convert":
            source = source.input_value(0).get_node()
        name = source.get_friendly_name()
        if source.get_type_name() != "Constant":
            raise BundleError(
                f"input {index} of {node.get_friendly_name()} is a {source.get_type_name()}",
                where=self.where,
                wanted="a constant",
                remedy="convert the checkpoint again",
            )
        if name not in self.arrays:
            self.arrays[name] = np.array(source.get_data())
        return self.arrays[name]

    # Parts of the model

    def linear(self, name: str) -> Linear:
        """Return a product with a bias."""
        return Linear(self.array(self.find(f"{name}.matmul", "MatMul"), 1), self.array(self.find(name, "Add"), 1))

    def table(self, name: str) -> Array:
        """An embedding table."""
        return self.array(self.find(name, "Gather"), 0)

    def norm(self, name: str) -> Norm:
        """Return a norm."""
        scaled = self.find(f"{name}.scaled", "Multiply")
        epsilon = None
        if f"{name}.mvn" in self.nodes:
            # The graph holds a float32; its shortest decimal is the number that config.json gave.
            epsilon = float(str(np.float32(self.find(f"{name}.mvn", "MVN").get_attributes()["eps"])))
        return Norm(self.array(scaled, 1), self.array(self.find(name, "Add"), 1), epsilon)

    def added(self, norm: str) -> "ov.Node":
        """The addition of a residual that a norm works on: its input 1 is what was added."""
        node = self.find(f"{norm}.scaled", "Multiply").input_value(0).get_node()
        return node.input_value(0).get_node() if node.get_type_name() == "MVN" else node

    def embeddings(self) -> Embeddings:
        """Return the tables and what follows them."""
        offset = "embeddings.position.ids"
        types = "embeddings.token_type"
        return Embeddings(
            word=self.table("embeddings.word"),
            position=self.table("embeddings.position"),
            position_offset=int(self.array(self.find(offset, "Add"), 1)) if offset in self.nodes else 0,
            token_type=self.table(types) if types in self.nodes else None,
            norm=self.norm("embeddings.norm"),
            projection=self.linear("embeddings.projection") if "embeddings.projection" in self.nodes else None,
            widen=self.linear("embeddings.widen") if "embeddings.widen" in self.nodes else None,
        )

    def layer(self, name: str) -> Layer:
        """Return one layer."""
        bottleneck = self.bottleneck(name) if f"{name}.bottleneck.input" in self.nodes else None
        attention = self.attention(f"{name}.attention")
        norm = self.norm(f"{name}.attention.norm")
        numbers = self.count(f"{name}.ffn.{{}}.norm")
        return Layer(attention, norm, tuple(self.feed_forward(f"{name}.ffn.{i}") for i in numbers), bottleneck)

    def attention(self, name: str) -> Attention:
        """Return the attention of a layer; one without heads is its bias."""
        if f"{name}.output.matmul" not in self.nodes:
            bias = self.array(self.added(f"{name}.norm"), 1)
            nothing = _empty(bias.size)
            return Attention(0, 1.0, nothing, nothing, nothing, Linear(np.zeros((bias.size, 0), np.float32), bias))
        heads = int(self.array(self.find(f"{name}.query.split", "Reshape"), 1)[2])
        scale = float(self.array(self.find(f"{name}.scaled", "Multiply"), 1))
        query, key, value, output = (self.linear(f"{name}.{part}") for part in ("query", "key", "value", "output"))
        return Attention(heads, scale, query, key, value, output, self.relative(f"{name}.relative"))

    def relative(self, name: str) -> Relative | None:
        """Return what attention adds by distance, None where it adds nothing."""
        if f"{name}.query.rows" not in self.nodes:
            return None
        table = self.array(self.find(f"{name}.query.rows", "Gather"), 0)
        return Relative(table, of_keys=f"{name}.key.rows" in self.nodes)

    def feed_forward(self, name: str) -> FeedForward:
        """Return a feed-forward block; one without neurons is its bias."""
        norm = self.norm(f"{name}.norm")
        if f"{name}.down.matmul" in self.nodes:
            return FeedForward(self.linear(f"{name}.up"), self.linear(f"{name}.down"), norm)
        bias = self.array(self.added(f"{name}.norm"), 1)
        return FeedForward(_empty(bias.size), Linear(np.zeros((bias.size, 0), np.float32), bias), norm)

    def bottleneck(self, layer: str) -> Bottleneck:
        """Return the bottleneck of a layer."""
        name = f"{layer}.bottleneck"
        reads: AttentionInput = "narrow"
        shared = None
        if f"{name}.shared" in self.nodes:
            reads, shared = "shared", (self.linear(f"{name}.shared"), self.norm(f"{name}.shared.norm"))
        elif f"{layer}.attention.query.matmul" in self.nodes:
            source = self.find(f"{layer}.attention.query.matmul", "MatMul").input_value(0).get_node()
            reads = "narrow" if source.get_friendly_name() == f"{name}.input.norm" else "whole"
        return Bottleneck(
            input=self.linear(f"{name}.input"),
            input_norm=self.norm(f"{name}.input.norm"),
            shared=shared[0] if shared else None,
            shared_norm=shared[1] if shared else None,
            output=self.linear(f"{name}.output"),
            output_norm=self.norm(f"{name}.output.norm"),
            attention_input=reads,
        )

    def activation(self) -> Activation:
        """Return the activation, "gelu" where nothing is activated."""
        kinds: dict[str, Activation] = {
            "Clamp": "gelu_10",
            "Mish": "mish",
            "Multiply": "relu2",
            "Relu": "relu",
            "Swish": "silu",
            "Tanh": "tanh",
        }
        node = next((node for name, node in self.nodes.items() if name.endswith(".activation")), None)
        if node is None:
            return "gelu"
        if node.get_type_name() == "Gelu":
            exact = str(node.get_attributes()["approximation_mode"]).lower() == "erf"
            return "gelu" if exact else "gelu_tanh"
        if node.get_type_name() == "Swish" and node.get_input_size() == 2 and float(self.array(node, 1)) != 1:
            return "quick_gelu"
        return kinds[node.get_type_name()]


def _with_scale(layer: Layer, scale: float) -> Layer:
    return replace(layer, attention=replace(layer.attention, scale=scale))


def _empty(inputs: int) -> Linear:
    return Linear(np.zeros((0, inputs), np.float32), np.zeros(0, np.float32))


def _shared(layers: list[Layer]) -> tuple[Layer, ...]:
    """Let layers with the very same weights be the same object."""
    seen: dict[Any, Layer] = {}
    return tuple(seen.setdefault(_key(layer), layer) for layer in layers)


def _key(part: Any) -> Any:
    """Equal for two parts that hold the same arrays; what is empty is the same as any other of its shape."""
    if isinstance(part, np.ndarray):
        return id(part) if part.size else part.shape
    if isinstance(part, tuple):
        return tuple(map(_key, part))
    if hasattr(part, "__dataclass_fields__"):
        return tuple(_key(getattr(part, name)) for name in part.__dataclass_fields__)
    return part
