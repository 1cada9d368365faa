"""Check an OpenVINO IR before OpenVINO sees it: its reader crashes, or never returns, on some that are malformed.

A digest proves that nothing was damaged, not who made it. What passes is a plain graph: known operations, each with
inputs that exist, constants that lie inside the weights, no cycles, no loops, nothing outside of the two files.
The two bodies of an If, which traced models have, are graphs of the same kind.
"""

import re
from math import prod
from xml.parsers import expat

from edge_qa.errors import BundleError, EdgeQAError

_LARGEST_XML_BYTES = 256 * 2**20
_MOST_LAYERS, _MOST_EDGES, _DEEPEST = 100_000, 400_000, 32
# Models that share weights between layers name the same bytes several times.
_LARGEST_SHARE = 64
_INTEGER = re.compile(r"[0-9]{1,12}")
_SHAPE = re.compile(r"[0-9]{1,12}(?:, ?[0-9]{1,12})*|")
_OPSET = re.compile(r"opset([1-9]|1[0-9])")
_VERSIONS = ("10", "11")

_ANY = 10_000
# How many inputs each operation takes: numbers, strings of text, random values, states, loops and whatever reaches
# outside the graph is left out.
_INPUTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("Const", "Parameter"), (0, 0)),
    **dict.fromkeys(
        (
            *("Result", "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceiling", "Clamp"),
            *("Convert", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HSigmoid", "HSwish", "IsFinite"),
            *("IsInf", "IsNaN", "Log", "LogSoftmax", "LogicalNot", "Mish", "Negative", "NonZero", "ReLU", "Round"),
            *(
                "ShapeOf",
                "Sigmoid",
                "Sign",
                "Sin",
                "Sinh",
                "SoftMax",
                "SoftPlus",
                "SoftSign",
                "Sqrt",
                "Tan",
                "TanH",
                "Tanh",
            ),
            *("Identity",),
        ),
        (1, 1),
    ),
    **dict.fromkeys(
        (
            *("Add", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "ConvertLike", "Convolution", "CumSum", "Divide"),
            *("Equal", "FloorMod", "GatherElements", "GatherND", "Greater", "GreaterEqual", "GroupConvolution"),
            *("Less", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalXor", "MatMul", "Maximum", "Minimum", "Mod"),
            *("Multiply", "NormalizeL2", "NotEqual", "PReLU", "Power", "ReduceL1", "ReduceL2", "ReduceLogicalAnd"),
            *("ReduceLogicalOr", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape"),
            *("Split", "SquaredDifference", "Subtract", "Tile", "TopK", "Transpose", "Unsqueeze"),
        ),
        (2, 2),
    ),
    **dict.fromkeys(("Squeeze", "MVN", "Swish", "Bucketize"), (1, 2)),
    **dict.fromkeys(("Gather", "GroupNormalization", "HardSigmoid", "Range", "Roll", "ScatterNDUpdate"), (3, 3)),
    **dict.fromkeys(("Select", "Selu", "VariadicSplit"), (3, 3)),
    **dict.fromkeys(("OneHot", "ScatterElementsUpdate", "ScatterUpdate"), (4, 4)),
    **dict.fromkeys(("BatchNormInference", "FakeQuantize"), (5, 5)),
    **dict.fromkeys(("Concat", "Einsum"), (1, _ANY)),
    "Broadcast": (2, 3),
    "Eye": (3, 4),
    "If": (1, _ANY),
    "Pad": (3, 4),
    "ScaledDotProductAttention": (3, 6),
    "Slice": (4, 5),
    "StridedSlice": (2, 4),
}
_OUTPUTS: dict[str, tuple[int, int]] = {
    "If": (1, _ANY),
    "Result": (0, 1),
    "Split": (1, _ANY),
    "VariadicSplit": (1, _ANY),
    "TopK": (2, 2),
}
_BITS = {
    **dict.fromkeys(("f64", "i64", "u64"), 64),
    **dict.fromkeys(("f32", "i32", "u32"), 32),
    **dict.fromkeys(("f16", "bf16", "i16", "u16"), 16),
    **dict.fromkeys(("i8", "u8", "boolean", "f8e4m3", "f8e5m2"), 8),
    **dict.fromkeys(("i4", "u4", "nf4"), 4),
    **dict.fromkeys(("u2", "u1"), 0),  # written by nothing that runs here
}
_FREE = "rt_info"  # what stands below is text for other programs
_CHILDREN: dict[str, frozenset[str]] = {
    "": frozenset({"net"}),
    "net": frozenset(
        {"layers", "edges", _FREE, "meta_data", "quantization_parameters", "cli_parameters", "statistics"}
    ),
    "layers": frozenset({"layer"}),
    "layer": frozenset({"data", "input", "output", _FREE}),
    **dict.fromkeys(("then_body", "else_body"), frozenset({"layers", "edges", _FREE})),
    **dict.fromkeys(("then_port_map", "else_port_map"), frozenset({"input", "output"})),
    "input": frozenset({"port"}),
    "output": frozenset({"port"}),
    "port": frozenset({"dim", _FREE}),
    "edges": frozenset({"edge"}),
}
# What an If has besides.
_BODIES = {"then_body": "then_port_map", "else_body": "else_port_map"}
_BRANCHES = frozenset({*_BODIES, *_BODIES.values()})
_DEEPEST_BRANCH = 4
_TEXT = frozenset({_FREE, "meta_data", "quantization_parameters", "cli_parameters", "statistics"})


def check_ir(
    xml: bytes,
    weights_bytes: int,
    where: object,
    *,
    error: type[EdgeQAError] = BundleError,
    remedy: str = "get the model from somebody you trust, or make it again",
) -> None:
    """Raise `error` for an IR that OpenVINO must not read.

    weights_bytes: size of the .bin that its constants lie in.
    """
    try:
        _Graph(weights_bytes).check(xml)
    except (_Bad, expat.ExpatError) as problem:
        raise error(f"not a model that is safe to read ({problem})", where=where, remedy=remedy) from None


class _Bad(Exception):
    """What is wrong with the IR."""


class _Layer:
    """One operation: its attributes, the numbers of its ports, and of an If its bodies and what binds them."""

    __slots__ = ("bodies", "data", "id", "inputs", "maps", "outputs", "parts", "type")

    def __init__(self, identity: str, kind: str) -> None:
        self.id, self.type = identity, kind
        self.data: dict[str, str] = {}
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.parts: set[str] = set()
        self.bodies: dict[str, _Body] = {}
        self.maps: dict[str, list[tuple[str, str, str]]] = {}


class _Body:
    """The operations and edges of a model, or of one branch of an If."""

    __slots__ = ("edges", "layer", "layers", "seen")

    def __init__(self) -> None:
        self.layers: dict[str, _Layer] = {}
        self.layer = _Layer("", "")
        self.edges: list[tuple[str, str, str, str]] = []
        self.seen: set[str] = set()


class _Graph:
    def __init__(self, weights_bytes: int) -> None:
        self._weights_bytes = weights_bytes
        self._bodies = [_Body()]  # the model, and the branches around the place that is being read
        self._path = [""]
        self._ports: list[str] = []
        self._count, self._edge_count, self._constant_bytes = 0, 0, 0

    def check(self, xml: bytes) -> None:
        if len(xml) > _LARGEST_XML_BYTES:
            raise _Bad(f"{len(xml)} bytes of XML")
        # expat and OpenVINO's own parser read these differently; nobody writes them.
        if b"<!DOCTYPE" in xml or b"<![" in xml or b"\0" in xml or not xml.lstrip().startswith(b"<"):
            raise _Bad("a document type, a section of text or another encoding")
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.Parse(xml, True)
        self._check_body(self._bodies[0])
        if self._constant_bytes > _LARGEST_SHARE * self._weights_bytes:
            raise _Bad(f"{self._constant_bytes} bytes of constants in {self._weights_bytes} bytes of weights")

    def _check_body(self, body: _Body) -> None:
        for layer in body.layers.values():
            self._check_layer(layer)
        self._check_edges(body)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        path = self._path
        parent = path[-1]
        if name == "dim" and parent == "port":
            return  # half of all elements; OpenVINO works the sizes out by itself
        path.append(name)
        body = self._bodies[-1]
        if parent == "layer" and name in _BRANCHES and body.layer.type == "If":
            self._start_branch(body.layer, name)
        elif name not in _CHILDREN.get(parent, ()):
            if _TEXT.isdisjoint(path) or len(path) > _DEEPEST or name == "dim":
                raise _Bad(f"<{name[:40]}> inside <{parent[:40]}>")
        elif name == "port":
            self._ports.append(attributes.get("id", ""))
        elif parent in _BODIES.values():
            path[-1] = "bound"  # it has no children
            ends = attributes.get("external_port_id", ""), attributes.get("internal_layer_id", "")
            body.layer.maps[parent].append((name, *ends))
        elif parent == "layer":
            layer = body.layer
            if name in layer.parts:
                raise _Bad(f"layer {layer.id} has two <{name}>")
            layer.parts.add(name)
            if name == "data":
                layer.data = attributes
            else:
                self._ports = layer.inputs if name == "input" else layer.outputs
        elif name == "layer":
            self._start_layer(attributes)
        elif name == "edge":
            try:
                ends_of_edge = (
                    attributes["from-layer"],
                    attributes["from-port"],
                    attributes["to-layer"],
                    attributes["to-port"],
                )
            except KeyError:
                raise _Bad("an edge without two ends") from None
            body.edges.append(ends_of_edge)
            self._edge_count += 1
            if self._edge_count > _MOST_EDGES:
                raise _Bad(f"more than {_MOST_EDGES} edges")
        elif (parent in ("", "net") or parent in _BODIES) and name not in _TEXT:
            if name in body.seen:
                raise _Bad(f"two <{name}>")
            body.seen.add(name)
            if name == "net" and attributes.get("version") not in _VERSIONS:
                raise _Bad(f"IR version {attributes.get('version', '')[:20]!r}")

    def _start_branch(self, layer: _Layer, name: str) -> None:
        if name in layer.parts:
            raise _Bad(f"layer {layer.id} has two <{name}>")
        layer.parts.add(name)
        if name not in _BODIES:
            layer.maps[name] = []
            return
        if len(self._bodies) > _DEEPEST_BRANCH:
            raise _Bad(f"branches {_DEEPEST_BRANCH} deep")
        layer.bodies[name] = _Body()
        self._bodies.append(layer.bodies[name])

    def _end(self, name: str) -> None:
        if name != "dim":
            self._path.pop()
            if name in _BODIES and _TEXT.isdisjoint(self._path):
                self._check_body(self._bodies.pop())

    def _start_layer(self, attributes: dict[str, str]) -> None:
        identity, kind = attributes.get("id", ""), attributes.get("type", "")
        body = self._bodies[-1]
        if not _INTEGER.fullmatch(identity) or identity in body.layers:
            raise _Bad(f"layer id {identity[:20]!r} is no number, or there twice")
        if kind not in _INPUTS or not _OPSET.fullmatch(attributes.get("version", "")):
            named = f"{kind[:40]} ({attributes.get('version', '')[:20]})"
            raise _Bad(f"layer {identity}: operation {named} is none that models of text consist of")
        body.layer = body.layers[identity] = _Layer(identity, kind)
        self._count += 1
        if self._count > _MOST_LAYERS:
            raise _Bad(f"more than {_MOST_LAYERS} operations")

    def _check_layer(self, layer: _Layer) -> None:
        fewest, most = _INPUTS[layer.type]
        if not fewest <= len(layer.inputs) <= most:
            raise _Bad(f"layer {layer.id}: {layer.type} with {len(layer.inputs)} inputs")
        fewest, most = _OUTPUTS.get(layer.type, (1, 1))
        if not fewest <= len(layer.outputs) <= most:
            raise _Bad(f"layer {layer.id}: {layer.type} with {len(layer.outputs)} outputs")
        if len({*layer.inputs, *layer.outputs}) < len(layer.inputs) + len(layer.outputs):
            raise _Bad(f"layer {layer.id}: two ports of one number")
        if layer.type == "Const":
            self._check_constant(layer)
        elif layer.type == "If":
            self._check_branches(layer)
        elif layer.type == "Reshape" and layer.data.get("special_zero", "true") not in ("true", "false"):
            raise _Bad(f"layer {layer.id}: Reshape without a meaning of zero")
        elif layer.type == "Split" and layer.data.get("num_splits") != str(len(layer.outputs)):
            raise _Bad(f"layer {layer.id}: Split with {len(layer.outputs)} outputs")

    @staticmethod
    def _check_branches(layer: _Layer) -> None:
        """Each branch gives every output of the If, and inputs behind the condition feed its parameters."""
        for name, mapping in _BODIES.items():
            body, bound = layer.bodies.get(name), layer.maps.get(mapping)
            if body is None or bound is None:
                raise _Bad(f"layer {layer.id}: If without its {name} or {mapping}")
            fed = [inner for side, _, inner in bound if side == "input"]
            given = [outer for side, outer, _ in bound if side == "output"]
            parameters = [inner for inner, one in body.layers.items() if one.type == "Parameter"]
            sources = {outer for side, outer, _ in bound if side == "input"}
            results = {inner for side, _, inner in bound if side == "output"}
            if sorted(fed) != sorted(parameters) or not sources <= set(layer.inputs[1:]):
                raise _Bad(f"layer {layer.id}: parameters of its {name} that nothing feeds")
            kinds = {body.layers[inner].type for inner in results if inner in body.layers}
            if sorted(given) != sorted(layer.outputs) or not results <= body.layers.keys() or kinds != {"Result"}:
                raise _Bad(f"layer {layer.id}: outputs that its {name} does not give")

    def _check_constant(self, layer: _Layer) -> None:
        data = layer.data
        shape, offset, size = data.get("shape", "?"), data.get("offset", ""), data.get("size", "")
        bits = _BITS.get(data.get("element_type", ""), 0)
        if not (bits and _SHAPE.fullmatch(shape) and _INTEGER.fullmatch(offset) and _INTEGER.fullmatch(size)):
            raise _Bad(f"layer {layer.id}: a constant without type, shape or place")
        count = prod(map(int, shape.split(","))) if shape else 1
        if int(size) != (count * bits + 7) // 8:
            raise _Bad(f"layer {layer.id}: {size[:20]} bytes for a constant of shape {shape[:60]}")
        if int(offset) + int(size) > self._weights_bytes:
            raise _Bad(f"layer {layer.id}: a constant outside of the {self._weights_bytes} bytes of weights")
        self._constant_bytes += int(size)

    @staticmethod
    def _check_edges(body: _Body) -> None:
        layers = body.layers
        taken: set[tuple[str, str]] = set()
        needs = dict.fromkeys(layers, 0)
        feeds: dict[str, list[str]] = {identity: [] for identity in layers}
        for source, source_port, target, target_port in body.edges:
            if source not in layers or source_port not in layers[source].outputs:
                raise _Bad(f"an edge from port {source[:20]}:{source_port[:20]}, which is not there")
            if target not in layers or target_port not in layers[target].inputs:
                raise _Bad(f"an edge to port {target[:20]}:{target_port[:20]}, which is not there")
            if (target, target_port) in taken:
                raise _Bad(f"two edges to port {target}:{target_port}")
            taken.add((target, target_port))
            needs[target] += 1
            feeds[source].append(target)
        for layer in layers.values():
            if needs[layer.id] != len(layer.inputs):
                raise _Bad(f"layer {layer.id}: {layer.type} with an input that nothing feeds")
        ready = [identity for identity, count in needs.items() if not count]
        done = 0
        while ready:
            done += 1
            for target in feeds[ready.pop()]:
                needs[target] -= 1
                if not needs[target]:
                    ready.append(target)
        if done < len(layers):
            raise _Bad("operations that wait for each other")
