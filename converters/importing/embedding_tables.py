"""The embedding tables of a graph, and what the graph does with each of its inputs."""

from collections.abc import Iterator
from dataclasses import dataclass

from converters.ir.constants import weight_behind
from edge_qa._openvino import ov

# Shapes and indices are kept in these.
_NO_WEIGHTS = (ov.Type.i32, ov.Type.i64)


@dataclass(frozen=True, eq=False)
class Table:
    """An embedding table and the lookup that reads it."""

    rows: int
    columns: int
    lookup: "ov.Node"


def embedding_tables(model: "ov.Model") -> Iterator[Table]:
    """Yield every two-dimensional constant that is looked up by row: by a Gather, or by a one-hot product (TF)."""
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Gather":
            weight = weight_behind(node.input_value(0))
        elif kind == "MatMul" and _one_hot_behind(node) is not None:
            weight = weight_behind(node.input_value(1))
        else:
            continue
        shape = list(node.input_value(0 if kind == "Gather" else 1).get_partial_shape())
        if weight is None or weight.constant.get_element_type() in _NO_WEIGHTS:
            continue
        # One column is no embedding: it holds the scales of a table of integers.
        if len(shape) == 2 and shape[0].get_length() > 0 and shape[1].get_length() > 1:
            yield Table(shape[0].get_length(), shape[1].get_length(), node)


@dataclass(frozen=True, eq=False)
class Use:
    """What the graph does with an input: the tables it indexes, largest first, and whether it reaches attention."""

    tables: tuple[Table, ...]
    scores: bool

    def __str__(self) -> str:
        if self.tables:
            return "indexes tables of " + ", ".join(f"{table.rows}x{table.columns}" for table in self.tables)
        return "reaches the attention scores" if self.scores else "reaches no table and no attention"


def find_use(port: "ov.Output", tables: tuple[Table, ...]) -> Use:
    """Follow an input forward to the tables it indexes and to the attention scores."""
    lookups = {table.lookup.get_name(): table for table in tables}
    reached: dict[str, Table] = {}
    scores = False
    seen: set[str] = set()
    waiting = list(port.get_target_inputs())
    while waiting:
        target = waiting.pop()
        node = target.get_node()
        name, kind = node.get_name(), node.get_type_name()
        if name in lookups and (kind == "MatMul" or target.get_index() == 1):
            reached[name] = lookups[name]
        elif kind in ("Softmax", "ScaledDotProductAttention"):
            scores = True
        # How long an input is says nothing of its role.
        elif kind != "ShapeOf" and name not in seen:
            seen.add(name)
            waiting += [further for output in node.outputs() for further in output.get_target_inputs()]
    return Use(tuple(sorted(reached.values(), key=lambda table: -table.rows)), scores)


def _one_hot_behind(product: "ov.Node") -> "ov.Node | None":
    node = product.input_value(0).get_node()
    while node.get_type_name() in ("Reshape", "Convert", "Squeeze", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "OneHot" else None
