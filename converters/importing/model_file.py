"""Read a model file that another tool wrote: OpenVINO IR or ONNX."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from converters.importing.onnx_files import external_files, without_links
from converters.importing.reader import read_model
from converters.importing.trial import try_to_read
from edge_qa._openvino import ov
from edge_qa.bundle.ir_check import check_ir
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

# The versions of the IR that OpenVINO reads.
_IR_VERSIONS = (10, 11)
_NET = re.compile(rb"<net\s[^>]*?version\s*=\s*[\"'](\d+)[\"']")
_HEAD_BYTES = 65536
# What can run for ever, or differently each time.
_LOOPS = {"Loop", "TensorIterator", "If", "ReadValue", "Assign"}
_AGAIN = "download or export the model again"


@dataclass(frozen=True, eq=False)
class Source:
    """A model as it was found; sha256: of its files' bytes, one after the other."""

    path: Path
    format: str  # "IR v10", "IR v11", "ONNX"
    model: "ov.Model"
    sha256: str


def read_source(path: Path, destination: Path) -> Source:
    """Read MODEL.xml with the MODEL.bin beside it, or MODEL.onnx with the files of weights that it names.

    Links are followed, as those of a cache of downloads. destination: what is written next; files that are only
    needed meanwhile lie beside it. Raises CheckpointError.
    """
    if path.is_dir():
        raise CheckpointError("a folder", where=path, remedy="give the .xml or .onnx file in it")
    kind = path.suffix.lower()
    if kind not in (".xml", ".onnx"):
        raise CheckpointError(
            f"got a {kind or 'nameless kind of'} file", where=path, wanted="OpenVINO's .xml or an .onnx"
        )
    files = [path] if kind == ".onnx" else [path, path.with_suffix(".bin")]
    for file in files:
        _check_file(file, path)
    try:
        if kind == ".onnx":
            others = external_files(path)
            with without_links(path, others, destination) as real:
                try_to_read(real, [*files, *others], path)
                return Source(path, "ONNX", _checked(read_model(real), path), _hash([*files, *others]))
        version = _check_ir(path)
        check_ir(path.read_bytes(), files[1].stat().st_size, path, error=CheckpointError, remedy=_AGAIN)
        try_to_read(path, files, path)
        return Source(path, f"IR v{version}", read_model(path), _hash(files))
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})", where=path, remedy="check its permissions"
        ) from None
    except RuntimeError as error:
        raise CheckpointError(f"OpenVINO cannot read it ({one_line(error)})", where=path, remedy=_AGAIN) from None


def one_line(error: Exception) -> str:
    """What OpenVINO says in the last line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _check_file(file: Path, model: Path) -> None:
    if not file.exists():
        hint = "give an .xml or .onnx file" if file == model else f"put it beside {model.name}, it holds the weights"
        raise CheckpointError("does not exist", where=file, remedy=hint)
    if not file.is_file():
        raise CheckpointError("not a plain file", where=file, remedy="wanted the file itself")
    if not file.stat().st_size:
        raise CheckpointError("empty", where=file, remedy=_AGAIN)
    refuse_pointer(file, CheckpointError, file)


def _hash(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    return total.hexdigest()


def _check_ir(path: Path) -> int:
    """Return the version of an IR; OpenVINO's own reader tries every other format on what it does not know."""
    with path.open("rb") as file:
        found = _NET.search(file.read(_HEAD_BYTES))
    if found is None:
        raise CheckpointError("not an OpenVINO IR (no <net version=...> in it)", where=path, remedy=_AGAIN)
    version = int(found.group(1))
    if version not in _IR_VERSIONS:
        raise CheckpointError(
            f"IR version {version}",
            where=path,
            wanted=" or ".join(map(str, _IR_VERSIONS)),
            remedy="convert the original model with a newer OpenVINO",
        )
    return version


def _checked(model: "ov.Model", name: Path) -> "ov.Model":
    """Return a model that came from ONNX. Raises CheckpointError if it is none, or may never end."""
    if not model.outputs:
        raise CheckpointError("holds no ONNX graph", where=name, remedy=_AGAIN)
    loops = {node.get_type_name() for node in model.get_ops()} & _LOOPS
    if loops:
        raise CheckpointError(
            f"holds {', '.join(sorted(loops))}", where=name, wanted="a graph without loops, branches and states"
        )
    return model
