"""What every family needs to read its tensors and configuration, collecting all problems before it raises."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint
from converters.model.encoder import Activation, Array, Linear, Norm
from edge_qa.errors import CheckpointError

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_10": "gelu_10",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "mish": "mish",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
# Switches of config.json that change what a model computes, and that no family here has.
_FOREIGN_SWITCHES = {
    "is_decoder": "a decoder reads only what came before",
    "add_cross_attention": "it attends to another text",
    "is_encoder_decoder": "it has a decoder",
    "quantization_config": "its weights are quantized; save them as float32",
}
_MISSING = np.zeros((0, 0), np.float32)


class TensorReader:
    """Takes tensors by name, notes what is missing or of the wrong shape, and raises once, at `finish`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.path: Path = checkpoint.path
        self.config: dict[str, Any] = checkpoint.config
        self.tensors = checkpoint.tensors
        self.problems: list[str] = []
        self.used: set[str] = set()

    # Configuration

    def integer(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of config.json that is at least `least`."""
        value = self.config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.problems.append(f"config {key}: got {value!r}, wanted a whole number of at least {least}")
            return least
        return value

    def number(self, key: str, default: float) -> float:
        """A positive number of config.json."""
        value = self.config.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            self.problems.append(f"config {key}: got {value!r}, wanted a positive number")
            return default
        return float(value)

    def activation(self, key: str, default: str = "gelu") -> Activation:
        """The activation function that config.json names."""
        name = self.config.get(key, default)
        if not isinstance(name, str) or name not in _ACTIVATIONS:
            self.problems.append(f"config {key}: got {name!r}, wanted one of {', '.join(_ACTIVATIONS)}")
            return "gelu"
        return _ACTIVATIONS[name]

    # Tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor; (0, 0) if it is missing, which taking it will report."""
        return tuple(self.tensors[name].shape) if name in self.tensors else (0, 0)

    def take(self, name: str, *shape: int | None) -> Array:
        """The tensor of that name; None in `shape` stands for any size of at least 0."""
        self.used.add(name)
        array = self.tensors.get(name)
        wanted = "x".join("any" if size is None else str(size) for size in shape)
        if array is None:
            self.problems.append(f"{name}: missing, wanted {wanted}")
            return _MISSING
        fits = array.ndim == len(shape) and all(
            want is None or got == want for got, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            got = "x".join(map(str, array.shape)) or "a scalar"
            self.problems.append(f"{name}: got {got}, wanted {wanted}")
        elif array.dtype.kind != "f":
            self.problems.append(f"{name}: got {array.dtype}, wanted floating point")
        elif not np.isfinite(array).all():
            bad = int(array.size - np.isfinite(array).sum())
            self.problems.append(f"{name}: {bad} values are NaN or infinite, wanted finite numbers")
        return array

    def linear(self, name: str, outputs: int | None, inputs: int | None) -> Linear:
        """name.weight and name.bias; with outputs None the bias must match the weight's rows."""
        weight = self.take(f"{name}.weight", outputs, inputs)
        known = f"{name}.weight" in self.tensors and weight.ndim == 2
        rows = weight.shape[0] if outputs is None and known else outputs
        return Linear(weight, self.take(f"{name}.bias", rows))

    def norm(self, name: str, size: int, epsilon: float | None) -> Norm:
        """name.weight and name.bias of a norm."""
        return Norm(self.take(f"{name}.weight", size), self.take(f"{name}.bias", size), epsilon)

    def finish(self, *, ignored: tuple[str, ...] = ()) -> list[str]:
        """Raise CheckpointError if anything was wrong; else return the names of the tensors nobody asked for.

        Wrong is also a switch of config.json that changes what is computed, and that no family has.
        ignored: beginnings of names that are known to play no part (a pooler, say).
        """
        self.problems += [
            f"config {key}: got {self.config[key]!r}, which is not supported ({why})"
            for key, why in _FOREIGN_SWITCHES.items()
            if self.config.get(key)
        ]
        if self.problems:
            shown = self.problems[:20]
            more = f"; and {len(self.problems) - 20} more" if len(self.problems) > 20 else ""
            raise CheckpointError(f"{'; '.join(shown)}{more}", where=self.path)
        return sorted(name for name in self.tensors.keys() - self.used if not name.startswith(ignored))
