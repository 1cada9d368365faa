"""Put generated text where a page says `<!-- generated: NAME ARGUMENTS -->`, before Sphinx reads the page.

Nothing generated is checked in: a page follows the code and the results files by itself.
"""

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sphinx.ext.autodoc.mock import mock

from docs.generate.command_line import command_line
from docs.generate.figures import figures, side_by_side
from docs.generate.python_names import MOCKED, public_names, tidy_docstring
from docs.generate.reliability_diagram import reliability_diagram
from docs.generate.rooms import PACKAGES, modules_at_a_glance, rooms_picture

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def _public_names(package: str) -> str:
    """The names of a package, also where torch is not installed."""
    # NNCF looks for torch while it is imported, and must find none rather than a stand-in.
    if find_spec("nncf") is not None:
        import_module("nncf")
    with mock(MOCKED):
        return public_names(package)


GENERATORS: dict[str, Callable[..., str]] = {
    "command-line": command_line,
    "figures": figures,
    "modules": modules_at_a_glance,
    "public-names": _public_names,
    "reliability-diagram": reliability_diagram,
    "rooms": rooms_picture,
    "side-by-side": side_by_side,
}
_PLACE = re.compile(r"^<!-- generated: (?P<words>.+?) -->$", re.MULTILINE)


def fill(text: str) -> str:
    """Return the text with every place for generated text filled. Raises KeyError for an unknown generator."""

    def generated(place: re.Match[str]) -> str:
        name, *arguments = place["words"].split()
        return GENERATORS[name](*arguments)

    return _PLACE.sub(generated, text)


def _read_source(_app: "Sphinx", _docname: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def _read_docstring(_app: "Sphinx", _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = tidy_docstring(lines)


def _resolve(app: "Sphinx", env: "BuildEnvironment", node: "pending_xref", shown: "Element") -> "Element | None":
    """Lead a type in a signature to its public name; a private one, or another library's, is no link."""
    if node.get("refdomain") != "py" or node.get("reftype") not in ("class", "data", "obj", "exc"):
        return None
    short = node["reftarget"].rpartition(".")[2]
    for package in PACKAGES[::-1]:
        if short in getattr(import_module(package), "__all__", ()):
            domain = env.get_domain("py")
            found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{package}.{short}", node, shown)
            if found is not None:
                return found
    return shown


def setup(app: "Sphinx") -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _read_source)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-docstring", _read_docstring)
    return {"version": "1", "parallel_read_safe": True}
