"""Read JSON into frozen dataclasses, strictly: every key known, present, and of its declared type."""

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_KINDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def decode(cls: type[T], value: Any, where: str, problems: list[str]) -> T | None:
    """Return `value` as the dataclass `cls`; append every problem found, each with its path, to `problems`.

    A field with a default may be absent. Returns None if anything was wrong.
    """
    before = len(problems)
    result = _decode(cls, value, where, problems)
    return result if len(problems) == before else None


def _decode(kind: Any, value: Any, where: str, problems: list[str]) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where, problems)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (a for a in arguments if a is not type(None))
        return _decode(inner, value, where, problems)
    if origin is Literal:
        if value not in arguments:
            problems.append(f"{where}: got {value!r}, wanted one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            return _wrong(where, value, "a list", problems)
        return tuple(_decode(arguments[0], item, f"{where}[{i}]", problems) for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            return _wrong(where, value, "an object", problems)
        return {key: _decode(arguments[1], item, f"{where}.{key}", problems) for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return _wrong(where, value, "a number", problems)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return _wrong(where, value, _KINDS.get(kind, str(kind)), problems)
    return value


def _decode_dataclass(cls: Any, value: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        return _wrong(where, value, "an object", problems)
    known = {field.name: field for field in fields(cls)}
    for key in value.keys() - known.keys():
        problems.append(f"{where}: unknown key {key!r}; this release knows {', '.join(known)}")
    types_of = _types(cls)
    arguments = {}
    for name, field in known.items():
        if name in value:
            arguments[name] = _decode(types_of[name], value[name], f"{where}.{name}", problems)
        elif not _has_default(field):
            problems.append(f"{where}: key {name!r} is missing")
    return cls(**arguments) if not problems else None


@cache
def _types(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _has_default(field: "Field[Any]") -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _wrong(where: str, value: Any, wanted: str, problems: list[str]) -> None:
    shown = repr(value)
    problems.append(f"{where}: got {shown if len(shown) <= 60 else shown[:57] + '...'}, wanted {wanted}")
