"""The files that an ONNX model consists of: itself, and those in which its tensors keep their values.

A `TensorProto` of onnx.proto (https://github.com/onnx/onnx) names such a file under the key "location" of its
`external_data`, relative to the folder of the model.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from converters.tokenization.protobuf import fields
from edge_qa.errors import CheckpointError
from edge_qa.files import scratch_folder
from edge_qa.git_lfs import refuse_pointer

_EXTERNAL = 1  # TensorProto.DataLocation
_AGAIN = "download or export the model again"

# Message -> its fields that hold further messages on the way to a tensor. Numbers as in onnx.proto.
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def external_files(model: Path) -> list[Path]:
    """Return the files besides `model` itself that its tensors lie in, each checked.

    Raises CheckpointError if one is not there or lies outside the folder of the model. A link is followed
    to where the model itself is a link to, as in a cache of downloads.
    """
    try:
        names = dict.fromkeys(_locations(memoryview(model.read_bytes()), "model"))
    except (ValueError, IndexError, TypeError, KeyError, RecursionError):
        raise CheckpointError("not an ONNX model", where=model, remedy=_AGAIN) from None
    return [_checked(model, name) for name in names]


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    if kind == "tensor":
        yield from _location(message)
        return
    for number, value in fields(message):
        if number in _INSIDE[kind]:
            yield from _locations(value, _INSIDE[kind][number])


def _location(tensor: memoryview) -> Iterator[str]:
    place, name = 0, None
    for number, value in fields(tensor):
        if number == 14:
            place = value
        elif number == 13:
            entry = {key: bytes(text).decode() for key, text in fields(value)}
            name = entry[2] if entry[1] == "location" else name
    if place == _EXTERNAL:
        if name is None:
            raise ValueError("an external tensor without a location")
        yield name


def _checked(model: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name:
        raise CheckpointError(
            f"keeps weights in {name!r}, outside its folder", where=model, remedy="wanted a file beside the model"
        )
    file = model.parent / name
    if not file.is_file():
        raise CheckpointError(
            f"its weights lie in {name}, which is not there", where=model, remedy=f"put {name} beside it"
        )
    real = Path(os.path.realpath(file))
    allowed = {
        Path(os.path.realpath(model.parent)),
        *({Path(os.path.realpath(model)).parent} if model.is_symlink() else ()),
    }
    if not allowed & set(real.parents):
        raise CheckpointError(
            f"keeps weights in {name}, a link out of its folder", where=model, remedy="put the file itself there"
        )
    refuse_pointer(file, CheckpointError, file)
    return file


@contextlib.contextmanager
def without_links(model: Path, others: list[Path], destination: Path) -> Iterator[Path]:
    """Yield a path of the model beside which its other files lie, themselves and not links to them.

    OpenVINO follows no link to a file of weights. Files are linked anew, and copied where that cannot be. Meanwhile
    they lie beside `destination`, where there has to be room for the weights anyway.
    """
    if not any(file.is_symlink() for file in others):
        yield model
        return
    with scratch_folder(destination) as folder:
        for file in (model, *others):
            place = folder / file.relative_to(model.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(os.path.realpath(file), place)
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, place)
        yield folder / model.name
