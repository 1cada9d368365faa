"""Models as other tools write them: the contracts of the Open Model Zoo at reduced width, and what is no such model.

The graphs are built from seeded Encoders, so that the numpy reference says what they must compute;
then they are changed into what the zoo's files look like.
"""

import re
from pathlib import Path

import numpy as np

from converters.ir.graph import build_graph
from converters.ir.storage import round_to_storage
from converters.model.encoder import Attention, Embeddings, Encoder, FeedForward, Layer, Linear, Norm
from edge_qa._openvino import ov
from tests.support.places import GOLDEN_FILES

ops = ov.opset13
ONNX = GOLDEN_FILES / "onnx"
VOCAB = ONNX / "vocab.txt"
WORDS = len(VOCAB.read_text().split())
HIDDEN, HEADS, LAYERS, FFN = 32, 4, 2, 40


def make_encoder(
    *, words: int = WORDS, positions: int = 64, position_offset: int = 0, blocks: int = 1, seed: int = 0
) -> Encoder:
    """A seeded Encoder with float16 matrices, whose values are large enough to matter."""
    random = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 0.3) -> np.ndarray:
        return random.normal(0, scale, shape).astype(np.float32)

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(draw(outputs, inputs, scale=1.5 / np.sqrt(inputs)), draw(outputs, scale=0.2))

    def norm() -> Norm:
        return Norm(1 + draw(HIDDEN, scale=0.1), draw(HIDDEN, scale=0.1), 1e-12)

    def layer() -> Layer:
        attention = Attention(HEADS, (HIDDEN // HEADS) ** -0.5, *(linear(HIDDEN, HIDDEN) for _ in range(4)))
        ffn = tuple(FeedForward(linear(FFN, HIDDEN), linear(HIDDEN, FFN), norm()) for _ in range(blocks))
        return Layer(attention, norm(), ffn)

    embeddings = Embeddings(
        draw(words, HIDDEN), draw(positions + position_offset, HIDDEN), position_offset, draw(2, HIDDEN), norm()
    )
    layers = tuple(layer() for _ in range(LAYERS))
    return round_to_storage(Encoder("bert", embeddings, layers, "gelu", linear(2, HIDDEN)))


def zoo_model(
    encoder: Encoder,
    *,
    inputs: int = 4,
    tokens: int = 48,
    kind: str = "i32",
    quantized: bool = False,
    rigid: bool = False,
) -> "ov.Model":
    """A model with the contract of the zoo: inputs (1, tokens) in its order, outputs output_s and output_e.

    inputs: 3 for no position_ids, the first rows of the position table then stand in the graph.
    quantized: FakeQuantize on every weight and on what it is multiplied with.
    rigid: every Reshape and the mask name the length.
    """
    model = build_graph(encoder)
    for parameter in model.get_parameters():
        parameter.set_element_type({"i32": ov.Type.i32, "i64": ov.Type.i64}[kind])
    model.reshape({port: [1, tokens] for port in model.inputs})
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    parameters = model.get_parameters()
    if inputs == 3:
        rows = ops.constant(encoder.embeddings.position[None, :tokens].astype(np.float32), name="positions")
        nodes["embeddings.position"].output(0).replace(rows.output(0))
        parameters = parameters[:3]
    if rigid:
        write_length_down(model, tokens)
    if quantized:
        quantize_products(model)
    for result in model.get_results():
        result.set_friendly_name(result.input_value(0).get_node().get_friendly_name() + "/sink_port_0")
    made = ov.Model(model.get_results(), parameters, "torch-jit-export")
    made.validate_nodes_and_infer_types()
    return made


def find(model: "ov.Model", name: str) -> "ov.Node":
    """The node of that name."""
    return next(node for node in model.get_ordered_ops() if node.get_friendly_name() == name)


def write_length_down(model: "ov.Model", tokens: int) -> None:
    """Name every size in the targets of Reshape, and spread the mask over tokens x tokens."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape":
            target = ops.constant(np.array(list(node.get_output_shape(0)), np.int64))
            node.input(1).replace_source_output(target.output(0))
            node.set_attribute("special_zero", False)
        elif node.get_friendly_name() == "mask":
            readers = list(node.output(0).get_target_inputs())
            square = ops.constant(np.array([1, 1, tokens, tokens], np.int64))
            spread = ops.broadcast(node, square, broadcast_spec="BIDIRECTIONAL")
            for reader in readers:
                reader.replace_source_output(spread.output(0))


def quantize_products(
    model: "ov.Model", *, largest_level: int = 127, integers: bool = False, activations: bool = True
) -> None:
    """Round every weight of a product to 8 bits, and with `activations` what it is multiplied with.

    largest_level: the largest integer that a weight becomes.
    integers: as NNCF stores it, int8 with a scale a row; else as the zoo does, FakeQuantize behind the float.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or "weight" not in node.input_value(1).get_node().get_friendly_name():
            continue
        if activations:
            limit = np.float32(6)
            rounded = ops.fake_quantize(node.input_value(0), -limit, limit, -limit, limit, 256)
            node.input(0).replace_source_output(rounded.output(0))
        source = node.input_value(1).get_node()
        values = (source.input_value(0).get_node() if source.get_type_name() == "Convert" else source).get_data()
        values = values.astype(np.float32)
        scale = np.abs(values).max(axis=1, keepdims=True) / largest_level
        if integers:
            stored = ops.convert(ops.constant(np.rint(values / scale).astype(np.int8)), "f32")
            weight = ops.multiply(stored, ops.constant(scale))
        else:
            weight = ops.fake_quantize(node.input_value(1), -127 * scale, 127 * scale, -127 * scale, 127 * scale, 255)
        node.input(1).replace_source_output(weight.output(0))


def save(model: "ov.Model", path: Path, *, version: int = 11) -> Path:
    """Write an IR. Version 10 has no tensor names and no runtime information: layers are called by their own names."""
    ov.serialize(model, path)
    if version == 10:
        text = path.read_text()
        text = re.sub(r"<rt_info>.*?</rt_info>", "", text, flags=re.DOTALL).replace("<rt_info />", "")
        text = re.sub(r' names="[^"]*"', "", text).replace('version="11"', 'version="10"', 1)
        path.write_text(text)
    return path


def headless(encoder: Encoder, *, pooled: bool) -> "ov.Model":
    """An embedding model of the zoo: (1, tokens, hidden), or of the first token (1, hidden)."""
    model = zoo_model(encoder)
    last = find(model, "qa.logits.matmul").input_value(0)
    if pooled:
        last = ops.gather(last, ops.constant(np.int64(0)), ops.constant(np.int64(1))).output(0)
    last.set_names({"embedding"})
    return ov.Model([ops.result(last, name="embedding/sink_port_0")], model.get_parameters(), "embedding")


def image_model() -> "ov.Model":
    """A classifier of images, in short."""
    image = ops.parameter([1, 3, 8, 8], np.float32, name="data")
    image.output(0).set_names({"data"})
    flat = ops.reshape(image, ops.constant(np.array([1, 192], np.int64)), False)
    scores = ops.matmul(flat, ops.constant(np.ones((192, 10), np.float32)), False, False)
    return ov.Model([ops.result(scores)], [image], "classifier")
