"""Free the axes of a model that was exported for one length, where its graph can follow.

Reshaping alone is not enough for a graph in which the exporter wrote the length down. Three ways to
do so are undone: the target of a Reshape, the target of a Broadcast, and a constant (the position
embeddings, most often) that was cut to the length and is added to every token. Whether the result
computes the same is not for this module to say: it is compared with the original before it is used.
"""

from dataclasses import dataclass

import numpy as np

from edge_qa._openvino import ov

_ops = ov.opset15
_ELEMENTWISE = ("Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Select", "LogicalAnd", "LogicalOr")


@dataclass(frozen=True, eq=False)
class FreedModel:
    """A model whose inputs are (any, any) or (1, any).

    cut: True if a constant is cut to the length at run time, so that the old length is now the longest.
    """

    model: "ov.Model"
    cut: bool


def free_axes(model: "ov.Model", ids: int, *, batch: bool) -> FreedModel:
    """Return a copy of the model with its token axis freed, and with `batch` the batch axis as well.

    ids: the number of the input that says how long an input is.
    Raises RuntimeError, OpenVINO's own, where the graph cannot take such inputs.
    """
    freed = model.clone()
    old = freed.inputs[ids].get_partial_shape()
    tokens = old[1].get_length() if old[1].is_static else None
    fixed = {
        node.get_name(): list(node.get_input_partial_shape(0))
        for node in freed.get_ordered_ops()
        if node.get_type_name() == "Reshape" and node.get_input_partial_shape(0).rank.is_static
    }
    for parameter in freed.get_parameters():
        parameter.set_partial_shape(ov.PartialShape([-1 if batch else 1, -1]))
        parameter.validate_and_infer_types()
    cut = False
    # In the order of computation, so that each node sees which axes of its inputs are free by now.
    for node in freed.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Reshape":
            _free_reshape(node, fixed.get(node.get_name(), []), tokens)
        elif kind == "Broadcast" and tokens is not None:
            node = _free_broadcast(node, tokens)
        elif kind in _ELEMENTWISE and tokens is not None:
            cut |= _cut_constants(node, freed.inputs[ids], tokens)
        node.validate_and_infer_types()
    freed.validate_nodes_and_infer_types()
    return FreedModel(freed, cut)


def _free_reshape(node: "ov.Node", fixed: "list[ov.Dimension]", tokens: int | None) -> None:
    """Let a target that names the length, or a batch of one, follow the input where that axis is now free.

    fixed: the shape of the input before any axis was freed.
    An axis that stays in its place becomes 0 (OpenVINO: "as in the input"); else, if it is the only
    one, -1 ("what is left").
    """
    constant = node.input_value(1).get_node()
    if constant.get_type_name() != "Constant":
        return
    target = [int(size) for size in np.atleast_1d(constant.get_data())]
    shape = node.get_input_partial_shape(0)
    if shape.rank.is_dynamic or (0 in target and not node.get_attributes()["special_zero"]):
        return
    changed = list(target)
    moved = []
    for axis, size in enumerate(target):
        if size not in (1, tokens):
            continue
        stays = axis < len(fixed) and fixed[axis].is_static and fixed[axis].get_length() == size
        if stays and shape[axis].is_dynamic:
            changed[axis] = 0
        elif size == tokens and not stays:
            moved.append(axis)
    if len(moved) == 1 and -1 not in target:
        changed[moved[0]] = -1
    if changed != target:
        _set_target(node, changed)
        node.set_attribute("special_zero", True)


def _free_broadcast(node: "ov.Node", tokens: int) -> "ov.Node":
    """Where a mask is spread over tokens x tokens: leave the length to what it is added to."""
    constant = node.input_value(1).get_node()
    if constant.get_type_name() != "Constant" or node.get_attributes()["mode"] not in ("numpy", "bidirectional"):
        return node
    target = [int(size) for size in np.atleast_1d(constant.get_data())]
    if tokens not in target:
        return node
    _set_target(node, [1 if size == tokens else size for size in target])
    node.set_attribute("mode", "bidirectional")
    return node


def _set_target(node: "ov.Node", target: list[int]) -> None:
    constant = _ops.constant(np.array(target, np.int64), name=f"{node.get_friendly_name()}/target")
    node.input(1).replace_source_output(constant.output(0))


def _cut_constants(node: "ov.Node", ids: "ov.Output", tokens: int) -> bool:
    """Cut a constant of the old length, aligned with an axis that is free now, to the length of the input."""
    shapes = [node.get_input_partial_shape(index) for index in range(node.get_input_size())]
    if any(shape.rank.is_dynamic for shape in shapes):
        return False
    found = False
    for index, shape in enumerate(shapes):
        others = [other for i, other in enumerate(shapes) if i != index]
        for axis in range(-len(shape), 0):
            fixed = shape[axis].is_static and shape[axis].get_length() == tokens
            if fixed and any(len(other) >= -axis and other[axis].is_dynamic for other in others):
                name = f"{node.get_friendly_name()}/{index}{axis}"
                cut = _first_tokens(node.input_value(index), ids, len(shape) + axis, name)
                node.input(index).replace_source_output(cut)
                found = True
    return found


def _first_tokens(value: "ov.Output", ids: "ov.Output", axis: int, name: str) -> "ov.Output":
    length = _ops.gather(
        _ops.shape_of(ids, name=f"{name}/shape"),
        _ops.constant(np.array([1], np.int64), name=f"{name}/index"),
        _ops.constant(np.int64(0), name=f"{name}/axis"),
        name=f"{name}/length",
    )
    sliced = _ops.slice(
        value,
        _ops.constant(np.array([0], np.int64), name=f"{name}/start"),
        length,
        _ops.constant(np.array([1], np.int64), name=f"{name}/step"),
        _ops.constant(np.array([axis], np.int64), name=f"{name}/axes"),
        name=f"{name}/cut",
    )
    return sliced.output(0)
