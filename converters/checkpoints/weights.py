"""The weight files of a checkpoint -> named numpy arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoints.torch_pickle.reader import read_state_dict
from converters.model.encoder import Array
from edge_qa.errors import CheckpointError, missing_extra
from edge_qa.git_lfs import refuse_pointer

try:
    import safetensors
    import safetensors.numpy
except ModuleNotFoundError as error:
    raise missing_extra(error, "convert") from None

# What is looked for, in this order: a file, or the index of its shards.
_SINGLES = ("model.safetensors", "pytorch_model.bin")
WEIGHT_FILES = (_SINGLES[0], f"{_SINGLES[0]}.index.json", _SINGLES[1], f"{_SINGLES[1]}.index.json")
_AGAIN = "download the checkpoint again"


def find_weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights: one, or an index and its shards; none if there are none."""
    for name in WEIGHT_FILES:
        path = folder / name
        if path.is_file():
            return [path, *_shards(path)] if path.suffix == ".json" else [path]
    return []


def read_weights(folder: Path) -> dict[str, Array]:
    """Read every tensor of a checkpoint. bfloat16 becomes float32, exactly. Raises CheckpointError."""
    tensors: dict[str, Array] = {}
    files = find_weight_files(folder)
    for path in files:
        if path.suffix == ".safetensors":
            tensors.update(_read_safetensors(path))
        elif path.suffix == ".bin":
            tensors.update(read_state_dict(path))
    if files and files[0].suffix == ".json":
        lost = sorted(_weight_map(files[0]).keys() - tensors.keys())
        if lost:
            raise CheckpointError(
                f"names tensors that no shard holds: {', '.join(lost)}", where=files[0], remedy=_AGAIN
            )
    return tensors


def write_weights(folder: Path, tensors: dict[str, Array]) -> None:
    """Write model.safetensors as transformers does."""
    # Arrays that are views would be written as the memory that they look at.
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    path = folder / _SINGLES[0]
    safetensors.numpy.save_file(contiguous, path, metadata={"format": "pt"})
    # It writes for the owner alone; whoever may read the folder may read the weights.
    path.chmod(folder.stat().st_mode & 0o666)


def _weight_map(path: Path) -> dict[str, str]:
    refuse_pointer(path, CheckpointError, path)
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        weight_map = index["weight_map"]
        if not all(isinstance(name, str) for name in weight_map.values()):
            raise TypeError("weight_map")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(
            "not a shard index (no `weight_map` of tensor to file name)", where=path, remedy=_AGAIN
        ) from None
    return dict(weight_map)


def _shards(index: Path) -> list[Path]:
    folder = index.parent
    names = sorted(set(_weight_map(index).values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"names files outside the checkpoint: {', '.join(outside)}", where=index, remedy=_AGAIN)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"shards are missing: {', '.join(missing)}", where=index, remedy=_AGAIN)
    return [folder / name for name in names]


def _read_safetensors(path: Path) -> dict[str, Array]:
    try:
        # Opened here, because safetensors says "no such file" where the permission is missing.
        refuse_pointer(path, CheckpointError, path)
        with safetensors.safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if all(file.get_slice(name).get_dtype() != "BF16" for name in names):
                return {name: file.get_tensor(name) for name in names}
        # numpy has no bfloat16: it is the upper half of a float32.
        return {name: _from_bytes(name, entry, path) for name, entry in safetensors.deserialize(path.read_bytes())}
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot be read ({reason})", where=path, remedy="check its permissions") from None
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"cannot be read as safetensors ({error})", where=path, remedy=_AGAIN) from None


_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1"}


def _from_bytes(name: str, entry: dict[str, Any], path: Path) -> Array:
    data, shape, kind = entry["data"], entry["shape"], entry["dtype"]
    if kind == "BF16":
        upper = np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)
        return upper.view(np.float32).reshape(shape)
    if kind == "BOOL":
        return np.frombuffer(data, np.bool_).reshape(shape)
    if kind not in _TYPES:
        raise CheckpointError(
            f"tensor {name} has type {kind}, which is no weight type", where=path, remedy="save it as float32"
        )
    return np.frombuffer(data, _TYPES[str(kind)]).reshape(shape)
