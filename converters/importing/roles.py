"""Which input and which output of a foreign model plays which role: by its name, else by how the graph uses it."""

from collections.abc import Iterable
from dataclasses import dataclass

from converters.importing.embedding_tables import Table, Use, embedding_tables, find_use
from edge_qa._openvino import ov
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES
from edge_qa.errors import CheckpointError

# What exporters call the tensors, in lower case, without "scope/" before and ":0" behind.
_INPUT_NAMES = {
    "input_ids": {"input_ids", "input_word_ids", "token_ids", "ids"},
    "attention_mask": {"attention_mask", "input_mask", "mask"},
    "token_type_ids": {"token_type_ids", "segment_ids", "input_type_ids", "token_types", "segments"},
    "position_ids": {"position_ids", "input_position_ids", "positions"},
}
_OUTPUT_NAMES = {
    "output_s": {"output_s", "start_logits", "output_start_logits", "start"},
    "output_e": {"output_e", "end_logits", "output_end_logits", "end"},
}

# Where the token type table ends: BERT has two types, and no position table is as short.
_MOST_TOKEN_TYPES = 2
# The shortest position table that is taken for one where the model does not say how long its input is.
_FEWEST_POSITIONS = 384
_WANTED_INPUTS = "wanted input_ids and attention_mask, with or without token_type_ids and position_ids"
_WANTED_OUTPUTS = (
    "wanted two outputs (batch, tokens), the start and end logits, or one (batch, tokens, 2); "
    "a model of embeddings, classes or images cannot answer questions"
)


@dataclass(frozen=True, eq=False)
class FoundInput:
    """Input number `index` of the model; how: what told its role; table: what it looks up, if anything."""

    index: int
    how: str
    table: Table | None


@dataclass(frozen=True)
class FoundOutput:
    """Output number `index` of the model; half: None, or which of its two last values (0 start, 1 end)."""

    index: int
    half: int | None
    how: str


@dataclass(frozen=True, eq=False)
class Roles:
    """What plays each role; tables: every embedding table of the model."""

    inputs: dict[str, FoundInput]
    outputs: dict[str, FoundOutput]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def find_roles(model: "ov.Model", where: str) -> Roles:
    """Find the role of every input and of the outputs. Raises CheckpointError with all that was found."""
    tables = tuple(embedding_tables(model))
    inputs = _find_inputs(model, tables, where)
    outputs, notes = _find_outputs(model, _tokens(model.inputs[inputs["input_ids"].index]), where)
    return Roles(inputs, outputs, tables, notes)


def describe_port(port: "ov.Output") -> str:
    """A port for messages: its names, type and shape."""
    names = "/".join(sorted(port.get_names())) or port.get_node().get_friendly_name()
    return f"{names} {port.get_element_type().get_type_name()} {port.get_partial_shape()}"


def plain_name(name: str) -> str:
    """`scope/Input_IDs:0` as `input_ids`; TensorFlow Serving's own prefix goes too."""
    return name.rpartition("/")[2].partition(":")[0].lower().removeprefix("serving_default_")


# Inputs


def _find_inputs(model: "ov.Model", tables: tuple[Table, ...], where: str) -> dict[str, FoundInput]:
    uses = [find_use(port, tables) for port in model.inputs]
    listing = "; ".join(f"{describe_port(port)} {use}" for port, use in zip(model.inputs, uses, strict=True))
    wrong = [port for port in model.inputs if not _is_token_wise(port)]
    if wrong or not model.inputs:
        got = "; ".join(map(describe_port, wrong or model.inputs)) or "none"
        raise CheckpointError(
            f"got the inputs {got}", where=where, remedy=f"{_WANTED_INPUTS}, integers of shape (batch, tokens)"
        )
    found: dict[str, FoundInput] = {}
    for by_name in (True, False):
        # No table is the words' any more where a name said which one is.
        rest = [] if "input_ids" in found else [table.rows for use in uses for table in use.tables]
        largest = max(rest, default=0)
        for index, port in enumerate(model.inputs):
            if any(entry.index == index for entry in found.values()):
                continue
            role = _named_role(port.get_names() | {port.get_node().get_friendly_name()}, _INPUT_NAMES)
            how = "by its name"
            if not by_name:
                role, how = _used_role(uses[index], largest, _tokens(port))
            if role is not None and role in found:
                raise CheckpointError(f"two inputs could be {role}; got {listing}", where=where, remedy=_WANTED_INPUTS)
            if role is not None:
                found[role] = FoundInput(index, how, _table_of(role, uses[index]))
    unknown = [port for i, port in enumerate(model.inputs) if all(entry.index != i for entry in found.values())]
    missing = [role for role in INPUT_ROLES[:2] if role not in found]
    if unknown or missing:
        problem = "; ".join(
            ([f"no input could be {' or '.join(missing)}"] if missing else [])
            + ([f"no role for {', '.join(map(describe_port, unknown))}"] if unknown else [])
        )
        raise CheckpointError(f"{problem}; got {listing}", where=where, remedy=_WANTED_INPUTS)
    if found["input_ids"].table is None:
        raise CheckpointError(
            f"input_ids indexes no embedding table; got {listing}", where=where, remedy="wanted a text model"
        )
    return {role: found[role] for role in INPUT_ROLES if role in found}


def _named_role(names: Iterable[str], known: dict[str, set[str]]) -> str | None:
    plain = {plain_name(name) for name in names}
    return next((role for role, accepted in known.items() if plain & accepted), None)


def _used_role(use: Use, largest: int, tokens: int | None) -> tuple[str | None, str]:
    """The role that an input's use speaks for, and the reason."""
    if not use.tables:
        return ("attention_mask", "masks the attention scores") if use.scores else (None, "")
    rows = use.tables[0].rows
    if rows == largest:
        return "input_ids", f"indexes the largest table, {rows} rows"
    if rows <= _MOST_TOKEN_TYPES:
        return "token_type_ids", f"indexes a table of {rows} rows"
    if rows >= (tokens or _FEWEST_POSITIONS):
        return "position_ids", f"indexes a table of {rows} rows"
    return None, ""


def _table_of(role: str, use: Use) -> Table | None:
    return use.tables[0] if use.tables and role != "attention_mask" else None


def _is_token_wise(port: "ov.Output") -> bool:
    shape, kind = port.get_partial_shape(), port.get_element_type()
    fits = shape.rank.is_static and len(shape) == 2
    return fits and (kind.is_integral() or kind == ov.Type.boolean)


def _tokens(port: "ov.Output") -> int | None:
    """The fixed length of an input (batch, tokens), or None."""
    length = port.get_partial_shape()[1]
    return int(length.get_length()) if length.is_static else None


# Outputs


def _find_outputs(model: "ov.Model", tokens: int | None, where: str) -> tuple[dict[str, FoundOutput], tuple[str, ...]]:
    listing = "; ".join(map(describe_port, model.outputs)) or "none"
    named: dict[str, int] = {}
    for index, port in enumerate(model.outputs):
        role = _named_role(port.get_names(), _OUTPUT_NAMES)
        if role is not None and _fits(port, tokens, 2) and named.setdefault(role, index) != index:
            raise CheckpointError(f"two outputs are called {role}; got {listing}", where=where, remedy=_WANTED_OUTPUTS)
    notes: tuple[str, ...] = ()
    flat = [index for index, port in enumerate(model.outputs) if _fits(port, tokens, 2)]
    paired = [index for index, port in enumerate(model.outputs) if _fits(port, tokens, 3)]
    if len(named) == 2:
        found = {role: FoundOutput(named[role], None, "by its name") for role in OUTPUT_ROLES}
    elif len(flat) == 2 and not named:
        found = {role: FoundOutput(index, None, "by its place") for role, index in zip(OUTPUT_ROLES, flat, strict=True)}
        notes = ("no output is named start or end: the first was taken for start, the second for end",)
    elif len(paired) == 1 and not flat:
        found = {
            role: FoundOutput(paired[0], half, f"the {which} of two values a token")
            for half, (role, which) in enumerate(zip(OUTPUT_ROLES, ("first", "second"), strict=True))
        }
        notes = ("one output of two values a token was split: the first is start, the second end",)
    else:
        raise CheckpointError(f"got the outputs {listing}", where=where, remedy=_WANTED_OUTPUTS)
    used = {entry.index for entry in found.values()}
    dropped = [describe_port(port) for index, port in enumerate(model.outputs) if index not in used]
    return found, notes + ((f"outputs left out: {'; '.join(dropped)}",) if dropped else ())


def _fits(port: "ov.Output", tokens: int | None, rank: int) -> bool:
    """True for float (batch, tokens), or with rank 3 for float (batch, tokens, 2)."""
    shape = port.get_partial_shape()
    if not port.get_element_type().is_real() or shape.rank.is_dynamic or len(shape) != rank:
        return False
    length = shape[1]
    right_length = length.is_dynamic or length.get_length() == tokens
    return right_length and (rank == 2 or (shape[2].is_static and shape[2].get_length() == 2))
