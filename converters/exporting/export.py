"""A bundle -> what another server or program reads: `edge-qa export`, a table of targets."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from converters.exporting.repository import Repository
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import InputError
from edge_qa.files import check_destination, new_folder

# A name that OVMS, MLServer, Triton, a URL and a folder take alike.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Target:
    """Something that a bundle is exported for; module: where its `write(bundle, repository)` is."""

    module: str
    what: str

    def writer(self) -> Callable[[Bundle, Repository], list[str]]:
        """Return what writes the layout and says how it is started, a line a step."""
        write: Callable[[Bundle, Repository], list[str]] = import_module(self.module).write
        return write


TARGETS: dict[str, Target] = {
    "extension": Target("converters.exporting.extension", "OpenVINO with the native engine as an extension: tensors"),
    "mlserver": Target("converters.exporting.mlserver", "MLServer: text in, answers out"),
    "ovms": Target("converters.exporting.ovms", "OpenVINO Model Server: tensors, and text through its Python node"),
    "triton": Target("converters.exporting.triton", "Triton: tensors, and text through its Python backend"),
}


@dataclass(frozen=True)
class Export:
    """What was written; name: of the model in it; steps: how it is started, in a shell."""

    path: Path
    target: str
    name: str
    steps: tuple[str, ...]


def export(
    bundle: str | os.PathLike[str], destination: str | os.PathLike[str], *, target: str, name: str | None = None
) -> Export:
    """Write a bundle into a new folder in the layout of a target.

    target: a key of TARGETS. name: of the model; the bundle's folder name by default.
    Raises BundleError for the bundle, InputError for a target or a name that is none and a destination that exists.
    """
    if target not in TARGETS:
        raise InputError(f"got {target!r}", where="target", wanted=f"one of {', '.join(TARGETS)}")
    folder = Path(os.path.abspath(destination))
    chosen = Path(os.path.abspath(bundle)).name if name is None else name
    if not _NAME.fullmatch(chosen):
        raise InputError(f"got {chosen!r}", where="name", wanted="letters, digits, dots, hyphens and underscores")
    if folder.is_symlink() or folder.exists():
        raise InputError("already exists", where=folder, remedy="give another name")
    check_destination(folder, force=False, sources=[bundle])
    source = Bundle.load(bundle)
    with new_folder(folder) as draft:
        steps = TARGETS[target].writer()(source, Repository(draft, folder, chosen))
    return Export(folder, target, chosen, tuple(steps))
