"""The bundles that are measured, made once in a folder and kept there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from converters.native.bundle import pack_native

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
CHECKPOINT = EXAMPLES / "models" / "minilm-squad"
SMALL = EXAMPLES / "models" / "minilm-squad-small-int8"
QUESTIONS = EXAMPLES / "data" / "questions.json"
# Blocks of 4 outputs x 1 input that are zero in the sparse model.
SPARSITY = 0.8


class Models:
    """Bundles by name; `path` makes the one that is missing.

    fp16, int8: the carried checkpoint, as converted, and quantized by NNCF. small: the carried small bundle. base:
    drawn weights of BERT-base's size, quantized by NNCF. sparse: the carried checkpoint with 80 % of its 4x1 blocks
    zero, by magnitude: for speed, its answers are worth nothing. NAME-packed: with the model for the native engine.
    """

    def __init__(self, place: Path, calibration: Path = QUESTIONS) -> None:
        self.place, self.calibration = place, calibration
        place.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return the folder of a bundle."""
        if name == "small":
            return SMALL
        folder = self.place / name
        if not folder.exists():
            if name.endswith("-packed"):
                pack_native(self.path(name.removesuffix("-packed")), folder)
            else:
                makers: dict[str, Callable[[Path], object]] = {
                    "fp16": self._fp16,
                    "int8": self._int8,
                    "base": self._base,
                    "sparse": self._sparse,
                }
                makers[name](folder)
        return folder

    def _fp16(self, folder: Path) -> None:
        from converters.conversion import convert

        convert(CHECKPOINT, folder)

    def _int8(self, folder: Path) -> None:
        from calibration.quantization.quantize import quantize

        quantize(self.path("fp16"), folder, calibration=self.calibration)

    def _base(self, folder: Path) -> None:
        from benchmarks.side_by_side.ceiling import make_bert_base

        make_bert_base(self.place, self.calibration).rename(folder)

    def _sparse(self, folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        from converters.conversion import convert

        checkpoint = self.place / "sparse-checkpoint"
        checkpoint.mkdir(exist_ok=True)
        for file in CHECKPOINT.iterdir():
            if file.suffix != ".safetensors":
                (checkpoint / file.name).write_bytes(file.read_bytes())
                continue
            tensors = load_file(file)
            thin = {name: _thinned(array) if _is_matrix(name) else array for name, array in tensors.items()}
            save_file(thin, checkpoint / file.name)
        convert(checkpoint, folder)


def _is_matrix(name: str) -> bool:
    return ".layer." in name and name.endswith("weight") and "LayerNorm" not in name


def _thinned(weight: np.ndarray) -> np.ndarray:
    """The weights with the smallest blocks of 4 outputs x 1 input zero."""
    outputs, inputs = weight.shape
    blocks = weight.astype(np.float32).reshape(outputs // 4, 4, inputs)
    norms = (blocks**2).sum(axis=1)
    kept = norms > np.quantile(norms, SPARSITY)
    return (blocks * kept[:, None]).reshape(outputs, inputs).astype(weight.dtype)
