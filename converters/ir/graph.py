"""Build the OpenVINO graph of an Encoder, op by op: no torch, no tracing.

Names are part of the contract, so that later passes find their place. The parts of layer 3:

    encoder.layer.3.attention.{query,key,value}     projections with bias   (batch, tokens, heads*size)
    encoder.layer.3.attention.scores                scaled, masked scores   (batch, heads, tokens, tokens)
    encoder.layer.3.attention.relative.{query,key}  what distances add      (batch, heads, tokens, tokens)
    encoder.layer.3.attention.probabilities         their softmax           (batch, heads, tokens, tokens)
    encoder.layer.3.attention.context               heads side by side      (batch, tokens, heads*size)
    encoder.layer.3.attention.output                with bias               (batch, tokens, hidden)
    encoder.layer.3.attention.norm                  after the residual      (batch, tokens, hidden)
    encoder.layer.3.ffn.0.{up,activation,down,norm}
    encoder.layer.3.bottleneck.{input,shared,output}       MobileBERT: its narrow middle, each with a .norm

Around the layers: embeddings.{word,position,token_type,norm}, embeddings.widen (MobileBERT),
embeddings.projection (ALBERT, ELECTRA), mask, qa.logits. What is added to x under the name of Y is
Y.residual. Layers that share their weights (ALBERT) share the constants, named after the first one.

A Linear called X has the constants X.weight and X.bias, in the type that the Encoder gives them
(`converters/ir/storage.py` decides); float16 ones are widened to float32 where they are read.
"""

import numpy as np

from converters.model.encoder import (
    Activation,
    Array,
    Attention,
    Bottleneck,
    Embeddings,
    Encoder,
    FeedForward,
    Linear,
    Norm,
    Relative,
)
from edge_qa._openvino import ov
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES

_ops = ov.opset15

# The most negative float16: exp underflows to exactly 0 beside any score, in every precision.
MASKED_SCORE = -65504.0


def build_graph(encoder: Encoder) -> "ov.Model":
    """Return the four-input, two-output model of the encoder, both axes dynamic."""
    return _Builder(encoder).build()


class _Builder:
    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.constants: dict[int, ov.Node] = {}

    def build(self) -> "ov.Model":
        inputs = {}
        for role in INPUT_ROLES:
            parameter = _ops.parameter(ov.PartialShape([-1, -1]), np.int64, name=role)
            parameter.output(0).set_names({role})
            inputs[role] = parameter
        real = _ops.convert(inputs["attention_mask"], "f32", name="mask.real")
        x = self.embed(inputs, real)
        mask = self.mask(real)
        for index, layer in enumerate(self.encoder.layers):
            name = f"encoder.layer.{index}"
            whole = x
            residual, keys_from, values_from = x, x, x
            if layer.bottleneck is not None:
                residual, keys_from, values_from = self.narrow(whole, layer.bottleneck, f"{name}.bottleneck")
            attended = self.attend(keys_from, values_from, layer.attention, mask, f"{name}.attention")
            x = self.add(residual, attended, f"{name}.attention.output")
            x = self.norm(x, layer.attention_norm, f"{name}.attention.norm")
            for number, block in enumerate(layer.feed_forwards):
                x = self.feed_forward(x, block, f"{name}.ffn.{number}")
            if layer.bottleneck is not None:
                wide = self.linear(x, layer.bottleneck.output, f"{name}.bottleneck.output")
                x = self.add(wide, whole, f"{name}.bottleneck.output")
                x = self.norm(x, layer.bottleneck.output_norm, f"{name}.bottleneck.output.norm")
        logits = self.linear(x, self.encoder.head, "qa.logits")
        halves = _ops.split(logits, _axis(2), 2, name="qa.split")
        results = []
        for role, half in zip(OUTPUT_ROLES, halves.outputs(), strict=True):
            squeezed = _ops.squeeze(half, _axis(2), name=role)
            squeezed.output(0).set_names({role})
            results.append(_ops.result(squeezed, name=f"{role}/result"))
        return ov.Model(results, [inputs[role] for role in INPUT_ROLES], "edge_qa")

    # Building blocks

    def constant(self, array: Array, name: str) -> "ov.Node":
        """One constant for one array, however often it is used; float16 is widened where it is read."""
        node = self.constants.get(id(array))
        if node is None:
            node = _constant(array, name)
            if node.get_element_type() == ov.Type.f16:
                node = _ops.convert(node, "f32", name=f"{name}.f32")
                # Tells the plugin and NNCF that this conversion only unpacks a stored weight.
                node.get_rt_info()["decompression"] = ""
            self.constants[id(array)] = node
        return node

    def rows(self, table: Array, indices: "ov.Node", name: str) -> "ov.Node":
        """Rows of an embedding table."""
        return _ops.gather(self.constant(table, f"{name}.weight"), indices, _axis(0), name=name)

    def add(self, a: "ov.Node", b: "ov.Node", name: str) -> "ov.Node":
        return _ops.add(a, b, name=f"{name}.residual")

    def linear(self, x: "ov.Node", linear: Linear, name: str) -> "ov.Node":
        weight = self.constant(linear.weight, f"{name}.weight")
        product = _ops.matmul(x, weight, False, True, name=f"{name}.matmul")
        return _ops.add(product, self.constant(linear.bias, f"{name}.bias"), name=name)

    def norm(self, x: "ov.Node", norm: Norm, name: str) -> "ov.Node":
        if norm.epsilon is not None:
            x = _ops.mvn(
                x, _ops.constant(np.array([-1], np.int64)), True, norm.epsilon, "inside_sqrt", name=f"{name}.mvn"
            )
        scaled = _ops.multiply(x, self.constant(norm.weight, f"{name}.weight"), name=f"{name}.scaled")
        return _ops.add(scaled, self.constant(norm.bias, f"{name}.bias"), name=name)

    def embed(self, inputs: dict[str, "ov.Node"], real: "ov.Node") -> "ov.Node":
        parts: Embeddings = self.encoder.embeddings
        x = self.rows(parts.word, inputs["input_ids"], "embeddings.word")
        if parts.widen is not None:
            if parts.widen.inputs == 3 * parts.word.shape[1]:
                x = self.neighbours(x, real)
            x = self.linear(x, parts.widen, "embeddings.widen")
        positions = inputs["position_ids"]
        if parts.position_offset:
            offset = _ops.constant(np.int64(parts.position_offset), name="embeddings.position.offset")
            positions = _ops.add(positions, offset, name="embeddings.position.ids")
        x = self.add(x, self.rows(parts.position, positions, "embeddings.position"), "embeddings.position")
        if parts.token_type is not None:
            kinds = self.rows(parts.token_type, inputs["token_type_ids"], "embeddings.token_type")
            x = self.add(x, kinds, "embeddings.token_type")
        x = self.norm(x, parts.norm, "embeddings.norm")
        if parts.projection is not None:
            x = self.linear(x, parts.projection, "embeddings.projection")
        return x

    def neighbours(self, x: "ov.Node", real: "ov.Node") -> "ov.Node":
        """[next token, token, previous token] side by side, zeros beyond the ends and for padding."""
        flags = _ops.unsqueeze(real, _axis(2))
        flags.set_friendly_name("embeddings.widen.real")
        x = _ops.multiply(x, flags, name="embeddings.widen.unpadded")
        begin = _ops.constant(np.array([0, 1, 0], np.int64))
        end = _ops.constant(np.array([0, 1, 0], np.int64))
        value = _ops.constant(np.float32(0))
        padded = _ops.pad(x, begin, end, "constant", value, name="embeddings.widen.padded")
        last = np.iinfo(np.int64).max
        windows = []
        for name, start, stop in (("next", 2, last), ("here", 1, -1), ("previous", 0, -2)):
            windows.append(
                _ops.slice(
                    padded,
                    _ops.constant(np.array([start], np.int64)),
                    _ops.constant(np.array([stop], np.int64)),
                    _ops.constant(np.array([1], np.int64)),
                    _ops.constant(np.array([1], np.int64)),
                    name=f"embeddings.widen.{name}",
                )
            )
        return _ops.concat(windows, 2, name="embeddings.widen.neighbours")

    def mask(self, real: "ov.Node") -> "ov.Node":
        """0 where a token may be attended to, MASKED_SCORE where not: (batch, 1, 1, tokens)."""
        padding = _ops.subtract(_ops.constant(np.float32(1)), real, name="mask.padding")
        scaled = _ops.multiply(padding, _ops.constant(np.float32(MASKED_SCORE)), name="mask.scaled")
        axes = _ops.constant(np.array([1, 2], np.int64))
        mask = _ops.unsqueeze(scaled, axes)
        mask.set_friendly_name("mask")  # unsqueeze ignores its `name`
        return mask

    def heads(self, x: "ov.Node", linear: Linear, attention: Attention, order: list[int], name: str) -> "ov.Node":
        size = linear.outputs // attention.heads
        projected = self.linear(x, linear, name)
        shape = _ops.constant(np.array([0, 0, attention.heads, size], np.int64))
        split = _ops.reshape(projected, shape, True, name=f"{name}.split")
        return _ops.transpose(split, _ops.constant(np.array(order, np.int64)), name=f"{name}.heads")

    def attend(
        self, keys_from: "ov.Node", values_from: "ov.Node", attention: Attention, mask: "ov.Node", name: str
    ) -> "ov.Node":
        if not attention.heads:
            return self.constant(attention.output.bias, f"{name}.output.bias")
        query = self.heads(keys_from, attention.query, attention, [0, 2, 1, 3], f"{name}.query")
        key = self.heads(keys_from, attention.key, attention, [0, 2, 3, 1], f"{name}.key")
        value = self.heads(values_from, attention.value, attention, [0, 2, 1, 3], f"{name}.value")
        products = _ops.matmul(query, key, False, False, name=f"{name}.products")
        if attention.relative is not None:
            products = self.relative(query, key, products, attention.relative, f"{name}.relative")
        scale = _ops.constant(np.float32(attention.scale))
        scaled = _ops.multiply(products, scale, name=f"{name}.scaled")
        scores = _ops.add(scaled, mask, name=f"{name}.scores")
        probabilities = _ops.softmax(scores, 3, name=f"{name}.probabilities")
        mixed = _ops.matmul(probabilities, value, False, False, name=f"{name}.mixed")
        turned = _ops.transpose(mixed, _ops.constant(np.array([0, 2, 1, 3], np.int64)), name=f"{name}.turned")
        joined = _ops.constant(np.array([0, 0, attention.value.outputs], np.int64))
        context = _ops.reshape(turned, joined, True, name=f"{name}.context")
        return self.linear(context, attention.output, f"{name}.output")

    def relative(
        self, query: "ov.Node", key: "ov.Node", products: "ov.Node", relative: Relative, name: str
    ) -> "ov.Node":
        """Add to the products what distances add. query: (.., tokens, d), key: (.., d, tokens).

        Every token is multiplied by the rows of all 2 * tokens - 1 distances side by side; `shifted` picks its own.
        """
        tokens = _ops.gather(_ops.shape_of(query, "i64"), _axis(2), _axis(0))
        middle = _ops.constant(np.int64(relative.positions - 1))
        beyond, below = _ops.add(middle, tokens), _ops.subtract(middle, tokens)
        table = self.constant(relative.table, f"{name}.table")
        # The distances of query 0 fall from key to key, those of key 0 rise from query to query.
        down = _ops.range(_ops.subtract(beyond, _axis(1)), below, _axis(-1), "i64")
        rows = _ops.gather(table, down, _axis(0), name=f"{name}.query.rows")
        by_query = _ops.matmul(query, rows, False, True, name=f"{name}.query.products")
        products = _ops.add(products, self.shifted(by_query, tokens, f"{name}.query"), name=f"{name}.query.added")
        if relative.of_keys:
            up = _ops.range(_ops.add(below, _axis(1)), beyond, _axis(1), "i64")
            rows = _ops.gather(table, up, _axis(0), name=f"{name}.key.rows")
            by_key = _ops.matmul(key, rows, True, True, name=f"{name}.key.products")
            turned = _ops.transpose(
                self.shifted(by_key, tokens, f"{name}.key.shifted"),
                _ops.constant(np.array([0, 1, 3, 2], np.int64)),
                name=f"{name}.key",
            )
            products = _ops.add(products, turned, name=f"{name}.key.added")
        return products

    def shifted(self, x: "ov.Node", tokens: "ov.Node", name: str) -> "ov.Node":
        """From (.., tokens, 2 * tokens - 1) take columns tokens - 1 - i to 2 * tokens - 2 - i of row i.

        With one more column the rows lie 2 * tokens apart, so that in one line of numbers a step of
        2 * tokens - 1 moves one row down and one column left.
        """
        one, nothing = _axis(1), _ops.constant(np.array([0, 0, 0, 0], np.int64))
        end = _ops.constant(np.array([0, 0, 0, 1], np.int64))
        padded = _ops.pad(x, nothing, end, "constant", _ops.constant(np.float32(0)))
        line = _ops.reshape(padded, _ops.constant(np.array([0, 0, -1], np.int64)), True)
        width = _ops.subtract(_ops.add(tokens, tokens), one)
        first = _ops.subtract(tokens, one)
        flat = _slice(line, first, _ops.add(first, _ops.multiply(tokens, width)), 2)
        ahead = _ops.constant(np.array([0, 0], np.int64))
        whole = _ops.concat([ahead, _as_list(tokens), _as_list(width)], 0)
        square = _ops.reshape(flat, whole, True)
        return _slice(square, _axis(0), tokens, 3, name=name)

    def feed_forward(self, x: "ov.Node", block: FeedForward, name: str) -> "ov.Node":
        if block.width:
            up = self.linear(x, block.up, f"{name}.up")
            active = _activate(up, self.encoder.activation, f"{name}.activation")
            change = self.linear(active, block.down, f"{name}.down")
        else:
            change = self.constant(block.down.bias, f"{name}.down.bias")
        return self.norm(self.add(x, change, f"{name}.down"), block.norm, f"{name}.norm")

    def narrow(self, whole: "ov.Node", bottleneck: Bottleneck, name: str) -> tuple["ov.Node", "ov.Node", "ov.Node"]:
        """Return what the residual adds (the narrowed x), what queries and keys read, what values read."""
        narrowed = self.linear(whole, bottleneck.input, f"{name}.input")
        residual = self.norm(narrowed, bottleneck.input_norm, f"{name}.input.norm")
        if bottleneck.attention_input == "narrow":
            return residual, residual, residual
        if bottleneck.attention_input == "whole":
            return residual, whole, whole
        assert bottleneck.shared is not None
        assert bottleneck.shared_norm is not None
        shared = self.linear(whole, bottleneck.shared, f"{name}.shared")
        return residual, self.norm(shared, bottleneck.shared_norm, f"{name}.shared.norm"), whole


def _constant(array: Array, name: str) -> "ov.Node":
    # OpenVINO shares no read-only memory, which is what a file that was mapped or unpickled gives.
    node = ov.op.Constant(np.require(array, requirements=["C", "W"]), shared_memory=True)
    node.set_friendly_name(name)
    return node


def _as_list(scalar: "ov.Node") -> "ov.Node":
    return _ops.unsqueeze(scalar, _axis(0))


def _slice(x: "ov.Node", start: "ov.Node", stop: "ov.Node", axis: int, name: str | None = None) -> "ov.Node":
    step, axes = _ops.constant(np.array([1], np.int64)), _ops.constant(np.array([axis], np.int64))
    return _ops.slice(x, _as_list(start), _as_list(stop), step, axes, name=name)


def _axis(value: int) -> "ov.Node":
    return _ops.constant(np.int64(value))


def _activate(x: "ov.Node", activation: Activation, name: str) -> "ov.Node":
    if activation == "gelu":
        return _ops.gelu(x, "erf", name=name)
    if activation == "gelu_10":
        return _ops.clamp(_ops.gelu(x, "erf", name=f"{name}.gelu"), -10.0, 10.0, name=name)
    if activation == "gelu_tanh":
        return _ops.gelu(x, "tanh", name=name)
    if activation == "mish":
        return _ops.mish(x, name=name)
    if activation == "quick_gelu":
        return _ops.swish(x, _ops.constant(np.float32(1.702)), name=name)
    if activation == "relu":
        return _ops.relu(x, name=name)
    if activation == "relu2":
        kept = _ops.relu(x, name=f"{name}.relu")
        return _ops.multiply(kept, kept, name=name)
    if activation == "silu":
        return _ops.swish(x, name=name)
    if activation == "tanh":
        return _ops.tanh(x, name=name)
    raise AssertionError(activation)
