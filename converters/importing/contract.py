"""Give a foreign model the types and outputs of the contract; its tensors keep their names."""

from converters.importing.roles import Roles, plain_name
from edge_qa._openvino import ov
from edge_qa.bundle.manifest import OUTPUT_ROLES, InputRecord, IORecord

_ops = ov.opset15
_CONTRACT_TYPES = {ov.Type.i64: "i64", ov.Type.i32: "i32"}


def adapt(model: "ov.Model", roles: Roles) -> tuple["ov.Model", IORecord]:
    """Return a copy with int64 or int32 inputs, in the order of `roles`, and two float32 outputs (batch, tokens)."""
    adapted = model.clone()
    parameters = adapted.get_parameters()
    inputs = {}
    taken = []
    for role, found in roles.inputs.items():
        parameter = parameters[found.index]
        kind = parameter.get_element_type()
        if kind not in _CONTRACT_TYPES:
            parameter = _as_int64(parameter)
        name = _name(parameter.output(0), role)
        parameter.set_friendly_name(role)
        taken.append(parameter)
        inputs[role] = InputRecord(name, _CONTRACT_TYPES[parameter.get_element_type()])  # type: ignore[arg-type]
    outputs = {}
    results = []
    for role, logits in zip(OUTPUT_ROLES, _logits(adapted, roles), strict=True):
        outputs[role] = _name(logits, role)
        results.append(_ops.result(logits, name=f"{role}/result"))
    return ov.Model(results, taken, "edge_qa"), IORecord(inputs, outputs)


def _as_int64(parameter: "ov.Node") -> "ov.Node":
    names = parameter.output(0).get_names()
    wide = _ops.parameter(parameter.get_partial_shape(), ov.Type.i64)
    narrow = _ops.convert(wide, parameter.get_element_type(), name=f"{parameter.get_friendly_name()}/narrow")
    parameter.output(0).replace(narrow.output(0))
    narrow.output(0).set_names(set())
    wide.output(0).set_names(names)
    return wide


def _logits(model: "ov.Model", roles: Roles) -> list["ov.Output"]:
    """The two outputs as float32 (batch, tokens), split off where one output holds both."""
    found = [roles.outputs[role] for role in OUTPUT_ROLES]
    sources = [model.get_results()[entry.index].input_value(0) for entry in found]
    if found[0].half is not None:
        axis = _ops.constant([2], ov.Type.i64, name="qa.split/axes")
        halves = _ops.split(sources[0], _ops.constant(2, ov.Type.i64, name="qa.split/axis"), 2, name="qa.split")
        sources = [_ops.squeeze(half, axis, name=f"qa.split/{i}").output(0) for i, half in enumerate(halves.outputs())]
    return [source if source.get_element_type() == ov.Type.f32 else _as_float32(source) for source in sources]


def _as_float32(source: "ov.Output") -> "ov.Output":
    names = source.get_names()
    wide = _ops.convert(source, "f32", name=f"{source.get_node().get_friendly_name()}/wide").output(0)
    source.set_names(set())
    wide.set_names(names)
    return wide


def _name(port: "ov.Output", role: str) -> str:
    """The name that the manifest binds: the role's own if the tensor has it, else its first, else a new one."""
    names: set[str] = port.get_names()
    if not names:
        port.set_names({role})
        return role
    return min(names, key=lambda name: (plain_name(name) != role, name))
