"""The rooms of the three packages: a picture of who imports whom, and every module with its first line."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The order that imports go down in: upper packages import lower ones.
PACKAGES = ("calibration", "converters", "edge_qa")

_BOX_HEIGHT, _GAP, _ROW, _MARGIN, _WIDTH, _TITLE = 28, 2, 50, 12, 740, 34


@dataclass(frozen=True)
class Box:
    """A room in the picture."""

    name: str
    x: float
    y: float
    width: float


def modules_of(package: str) -> dict[str, Path]:
    """Return the modules of a package by their dotted names."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def first_line(path: Path) -> str:
    """Return what a module's docstring says first."""
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(said.split()).split(". ")[0].removesuffix(".")


def modules_at_a_glance(package: str) -> str:
    """Return a package as `tree` would show it, each module with the first line of its docstring."""
    lines = [f"{package}/", *_branches(ROOT / package, "")]
    width = max(len(line.split("\t")[0]) for line in lines)
    shown = []
    for line in lines:
        branch, _, said = line.partition("\t")
        shown.append(f"{branch:{width}}  {said}".rstrip())
    return "\n".join(["```text", *shown, "```"])


def _branches(folder: Path, indent: str) -> Iterator[str]:
    inside = [path for path in sorted(folder.iterdir()) if _is_shown(path)]
    for number, path in enumerate(inside, 1):
        last = number == len(inside)
        module = path / "__init__.py" if path.is_dir() else path
        said = first_line(module) if module.is_file() else ""
        yield f"{indent}{'└── ' if last else '├── '}{path.name}{'/' if path.is_dir() else ''}\t{said}"
        if path.is_dir():
            yield from _branches(path, indent + ("    " if last else "│   "))


def _is_shown(path: Path) -> bool:
    if path.is_dir():
        return any(path.rglob("*.py")) and path.name != "__pycache__"
    return path.suffix == ".py" and path.name != "__init__.py"


def room_of(module: str) -> tuple[str, str]:
    """Return the package and the room of a module: its folder, or its own name where it stands in the root."""
    package, _, rest = module.partition(".")
    return package, rest.split(".")[0]


def imports_between_rooms() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Return which rooms each room imports, lazy imports included, imports for type checkers left out."""
    known = {name: path for package in PACKAGES for name, path in modules_of(package).items()}
    graph: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for module, path in known.items():
        room = room_of(module)
        if not room[1] or room[1] == "__main__":
            continue
        targets = graph.setdefault(room, set())
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            other = room_of(name if name in known else name.rpartition(".")[0])
            if other[0] in PACKAGES and other[1] and other != room:
                targets.add(other)
    return graph


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module
        else:
            yield from _imported(node)


def levels(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the rooms row by row: each stands above all that it imports. A circle is the layering test's to find."""
    depth: dict[str, int] = {}

    def below(room: str, above: frozenset[str]) -> int:
        if room not in depth:
            others = graph[room] - above
            depth[room] = max((below(other, above | {room}) + 1 for other in others), default=0)
        return depth[room]

    for room in graph:
        below(room, frozenset({room}))
    rows = [sorted(room for room in graph if depth[room] == level) for level in range(max(depth.values()) + 1)]
    return rows[::-1]


def direct(graph: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """Return the imports that no longer way stands for: the picture needs no others."""

    def reach(room: str) -> set[str]:
        found: set[str] = set()
        waiting = [room]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    return {
        (room, other)
        for room, others in graph.items()
        for other in others
        if not any(other in reach(between) for between in others - {other})
    }


def rooms_picture() -> str:
    """Return the picture as SVG inside a page; its colours are the page's own, light or dark."""
    whole = imports_between_rooms()
    parts, top = [], 0.0
    for package in PACKAGES:
        graph = {
            room: {other for place, other in others if place == package}
            for (where, room), others in whole.items()
            if where == package
        }
        drawn, height = _panel(package, graph, top)
        parts += drawn
        top += height + _MARGIN
    style = (
        "<style>.rooms text{fill:var(--color-foreground-primary);font:13px system-ui,sans-serif}"
        ".rooms .title{font-weight:600;font-size:15px}"
        ".rooms .panel{fill:var(--color-background-secondary);stroke:var(--color-background-border)}"
        ".rooms .room{fill:var(--color-background-primary);stroke:var(--color-foreground-muted)}"
        ".rooms path{fill:none;stroke:var(--color-foreground-muted);stroke-width:1.2;opacity:.65}</style>"
    )
    label = "The rooms of calibration, converters and edge_qa; lines go from a room down to the rooms that it imports"
    return (
        f'<div class="wide-picture"><svg class="rooms" viewBox="0 0 {_WIDTH} {top:.0f}" width="{_WIDTH}" '
        f'role="img" aria-label="{label}">{style}{"".join(parts)}</svg></div>\n'
    )


def _panel(package: str, graph: Mapping[str, set[str]], top: float) -> tuple[list[str], float]:
    """One package: its rooms in rows, lines for direct imports, and the height of it all."""
    rows = levels(graph)
    height = _TITLE + len(rows) * _ROW + _GAP
    boxes = {box.name: box for number, row in enumerate(rows) for box in _row(row, top + _TITLE + number * _ROW)}
    drawn = [
        f'<rect class="panel" x="1" y="{top + 1:.0f}" width="{_WIDTH - 2}" height="{height:.0f}" rx="8"/>',
        f'<text class="title" x="{_MARGIN}" y="{top + 24:.0f}">{package}/</text>',
    ]
    for room, other in sorted(direct(graph)):
        a, b = boxes[room], boxes[other]
        x1, y1, x2, y2 = a.x + a.width / 2, a.y + _BOX_HEIGHT, b.x + b.width / 2, b.y
        bend = min(26.0, (y2 - y1) / 2)
        drawn.append(
            f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"/>'
        )
    for box in boxes.values():
        drawn.append(
            f'<rect class="room" x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{_BOX_HEIGHT}" '
            'rx="5"/>'
            f'<text x="{box.x + box.width / 2:.0f}" y="{box.y + 19:.0f}" text-anchor="middle">{escape(box.name)}</text>'
        )
    return drawn, height


def _row(names: list[str], y: float) -> list[Box]:
    widths = [8.2 * len(name) + 22 for name in names]
    space = (_WIDTH - 2 * _MARGIN - sum(widths)) / (len(names) + 1)
    boxes, x = [], _MARGIN + space
    for name, width in zip(names, widths, strict=True):
        boxes.append(Box(name, x, y, width))
        x += width + space
    return boxes
