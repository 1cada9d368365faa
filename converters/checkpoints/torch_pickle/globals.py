"""The globals that the pickle of a torch state dict may name, and the inert values that they stand for.

This is the whole allow-list. What is "called" is one of the four functions at the end, each of which checks plain
values and returns a description; no tensor exists yet, and no storage was read.

Source: torch/_utils.py and torch/storage.py (torch 1.0 to 2.13) for the names and arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

# numpy has no bfloat16; the other kinds are names of its types.
ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "float16": 2,
    "bfloat16": 2,
    "uint32": 4,
    "int32": 4,
    "float32": 4,
    "uint64": 8,
    "int64": 8,
    "float64": 8,
}
STORAGES = {
    "torch.BoolStorage": "bool",
    "torch.ByteStorage": "uint8",
    "torch.CharStorage": "int8",
    "torch.ShortStorage": "int16",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.IntStorage": "int32",
    "torch.FloatStorage": "float32",
    "torch.LongStorage": "int64",
    "torch.DoubleStorage": "float64",
    "torch.UntypedStorage": "uint8",
    "torch.storage.UntypedStorage": "uint8",
}
DTYPES = {f"torch.{kind}": kind for kind in ITEM_BYTES}
MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class Global:
    """The dotted name of an allowed global, and nothing behind it."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A named run of elements in the file. kind: a key of ITEM_BYTES."""

    key: str
    kind: str
    elements: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A strided view of a storage, inside its bounds. kind: a key of ITEM_BYTES. The rest counts elements."""

    storage: Storage
    kind: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor written out in full; an axis of size 0 counts as 1."""
        return prod(max(1, n) for n in self.size) * ITEM_BYTES[self.kind]


def _ordered_dict() -> dict[str | int, object]:
    return {}


def _rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, *, kind: str | None = None
) -> Tensor:
    if not isinstance(storage, Storage):
        raise ValueError("the first is no storage")
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise ValueError("size and stride are not two tuples of one length")
    if len(size) > MAX_DIMENSIONS:
        raise ValueError(f"{len(size)} dimensions, at most {MAX_DIMENSIONS} are read")
    if type(offset) is not int or any(type(n) is not int for n in size + stride) or min((offset, *size, *stride)) < 0:
        raise ValueError("offset, size and stride must be integers >= 0")
    kind = kind or storage.kind
    elements = storage.elements * ITEM_BYTES[storage.kind] // ITEM_BYTES[kind]
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= elements:
        raise ValueError(f"element {last} of a storage of {elements}")
    return Tensor(storage, kind, offset, size, stride)


def _rebuild_tensor_v2(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    _requires_grad: object,
    _backward_hooks: object,
    metadata: object = None,
    *,
    kind: str | None = None,
) -> Tensor:
    if metadata:  # the bits "conj" and "neg": the stored numbers are not the tensor's
        raise ValueError("a tensor that is stored conjugated or negated")
    return _rebuild_tensor(storage, offset, size, stride, kind=kind)


def _rebuild_tensor_v3(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object,
    backward_hooks: object,
    dtype: object,
    metadata: object = None,
) -> Tensor:
    """The type comes apart from the storage, whose own type is untyped bytes."""
    if type(dtype) is not Global or dtype.name not in DTYPES:
        raise ValueError("the seventh is no type")
    if not isinstance(storage, Storage) or storage.kind != "uint8":
        raise ValueError("the first is no untyped storage")
    kind = DTYPES[dtype.name]
    return _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata, kind=kind)


def _rebuild_parameter(data: object, _requires_grad: object, _backward_hooks: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("the first is no tensor")
    return data


BUILDERS: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
