"""The reference of Python: every public name of a package, documented by autodoc."""

import inspect
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec

# Where they are not installed the build puts something in their place: they take gigabytes, and signatures need none.
MOCKED = [name for name in ("torch", "transformers") if find_spec(name) is None]


def public_names(package: str) -> str:
    """Return a block of autodoc directives for each name in the package's `__all__`, classes and functions first."""
    module = import_module(package)
    names = [name for name in getattr(module, "__all__", ()) if not name.startswith("__")]
    lines = [line for name in names for line in _directive(package, name, getattr(module, name))]
    return "\n".join(["```{eval-rst}", *lines, "```"]) if lines else ""


def _directive(package: str, name: str, value: object) -> Iterator[str]:
    if inspect.isclass(value) and issubclass(value, Exception) and value.__init__ is not _root(value).__init__:
        yield f".. autoexception:: {package}.{name}"
    elif inspect.isclass(value) and issubclass(value, Exception) and value is not _root(value):
        # Its arguments are those of the root, which stand there.
        yield f".. py:exception:: {package}.{name}"
        yield ""
        yield from (f"   {line}" for line in tidy_docstring((inspect.getdoc(value) or "").splitlines()))
    elif inspect.isclass(value):
        yield f".. autoclass:: {package}.{name}"
        yield "   :members:"
    elif inspect.isroutine(value):
        yield f".. autofunction:: {package}.{name}"
    else:
        yield f".. autodata:: {package}.{name}"
    yield ""


def _root(error: type[BaseException]) -> type[BaseException]:
    """The class of ours that an error inherits its arguments from."""
    return [kind for kind in error.__mro__ if kind.__module__ == error.__module__ and issubclass(kind, Exception)][-1]


_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_SPECIAL = re.compile(r"(?<!\\)([*|]|(?<=\w)_(?!\w))")
_ITEM = re.compile(r"(\d+\.|[-*]) ")


def tidy_docstring(lines: Sequence[str]) -> list[str]:
    """Make a plain docstring safe for reStructuredText: stars and bars are text, and no line is indented by surprise.

    A line that names arguments (`name, other: meaning`) begins a paragraph of its own.
    """
    tidy: list[str] = []
    inside_item = False
    for line in lines:
        stripped = line.strip()
        item = bool(_ITEM.match(stripped))
        if item or (tidy and tidy[-1].endswith((".", ")", ":")) and _begins_paragraph(stripped)):
            tidy.append("")
        inside_item = (item or inside_item) and bool(stripped)
        indent = "   " if inside_item and not item else ""
        tidy.append(indent + _plain(stripped) if stripped else "")
    return tidy


def _begins_paragraph(line: str) -> bool:
    return line.startswith("Raises ") or bool(
        re.match(r"(?:[a-z_][\w.]*(?:, |: )){1,6}\S", line) and ": " in line[:60] and line[0].islower()
    )


def _plain(line: str) -> str:
    if _ITEM.match(line):
        mark, rest = line.split(" ", 1)
        return f"{mark} {_plain(rest)}"
    parts = _CODE.split(line)
    return "".join(part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in parts)
