"""A Hugging Face checkpoint folder -> its configuration, named arrays, tokenizer and model card."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.checkpoints.weights import WEIGHT_FILES, find_weight_files, read_weights
from converters.model.encoder import Array
from converters.tokenization.tokenizer import VOCABULARY_FILES, read_tokenizer
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

# What torch.compile, DataParallel and training frames put before the name of every tensor.
_WRAPPERS = ("_orig_mod.", "module.", "model.")
_SAVE = "and save it with save_pretrained"
# Files of a folder without weights that are read -> what they are, and what makes a checkpoint of them.
_OTHER_FORMATS = {
    "adapter_*": (
        "an adapter alone",
        f"load it onto its base model with peft, merge it (merge_and_unload) {_SAVE}",
    ),
    "tf_model*.h5": ("TensorFlow weights alone", f"load it with from_tf=True in transformers 4 {_SAVE}"),
    "*.ckpt*": ("TensorFlow weights alone", f"load it with from_tf=True in transformers 4 {_SAVE}"),
    "flax_model*.msgpack": ("Flax weights alone", f"load it with from_flax=True in transformers 4 {_SAVE}"),
    "*.gguf": ("a GGUF file alone", f"load it with gguf_file in transformers {_SAVE}"),
    "*.onnx": ("an ONNX model", "import that file instead"),
    "openvino_model*.xml": ("an OpenVINO model", "import that file instead"),
}
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint folder holds.

    config: config.json as it is. tensors: every array by its name in the file. tokenizer: the
    content of a tokenizer.json, made from the vocabulary where there is none. card: the README and the
    licence that came with it, or None. sha256: over the configuration and weight files.
    notes: what was not as it should be, and read all the same, in sentences.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Array]
    tokenizer: str
    card: str | None
    sha256: str
    notes: tuple[str, ...] = ()


def read_checkpoint(path: str | os.PathLike[str], *, cased: bool | None = None) -> Checkpoint:
    """Read a checkpoint folder. Raises CheckpointError, naming every missing file at once.

    cased: whether a WordPiece vocabulary tells upper from lower case; None for what the checkpoint says.
    """
    folder = Path(path)
    try:
        return _read_folder(folder, cased)
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})", where=folder, remedy="check its permissions"
        ) from None


def _read_folder(folder: Path, cased: bool | None) -> Checkpoint:
    if not folder.is_dir():
        if folder.exists():
            raise CheckpointError(
                "a file", where=folder, remedy="wanted a folder with config.json, weights and tokenizer"
            )
        raise CheckpointError(
            "does not exist", where=folder, remedy="give a checkpoint folder, or a model id of the hub with `hub`"
        )
    if (folder / "bundle.json").is_file():
        raise CheckpointError("a bundle", where=folder, remedy="give the checkpoint that it was made from")
    config_path = folder / "config.json"
    weight_files = find_weight_files(folder)
    if not weight_files:
        _refuse_other_formats(folder)
    missing = [] if config_path.is_file() else ["config.json"]
    if not weight_files:
        missing.append(" or ".join(WEIGHT_FILES))
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        missing.append(" or ".join(VOCABULARY_FILES))
    if missing:
        raise CheckpointError("not a checkpoint", where=folder, remedy=f"missing: {'; '.join(missing)}")
    config = read_json(config_path)
    tokenizer = read_tokenizer(folder, config, cased=cased)
    tensors, notes = _unwrapped(read_weights(folder))
    return Checkpoint(
        folder,
        config,
        _modern_names(tensors),
        tokenizer.content,
        _read_card(folder),
        _hash([config_path, *weight_files]),
        (*notes, *tokenizer.notes),
    )


def _refuse_other_formats(folder: Path) -> None:
    """Raise CheckpointError if a folder holds the model in a format that is not read, or a part of it alone."""
    for pattern, (what, remedy) in _OTHER_FORMATS.items():
        found = sorted(path.name for path in folder.glob(pattern))
        if found:
            raise CheckpointError(f"holds {what} ({found[0]}), and no {WEIGHT_FILES[0]}", where=folder, remedy=remedy)


def _unwrapped(tensors: dict[str, Array]) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Leave out what a wrapper put before the name of every tensor, and say so."""
    whole = ""
    while prefix := next((name for name in _WRAPPERS if tensors and all(key.startswith(name) for key in tensors)), ""):
        tensors = {key.removeprefix(prefix): array for key, array in tensors.items()}
        whole += prefix
    return tensors, (f"the name of every tensor begins with {whole!r}, which was left out",) if whole else ()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises CheckpointError."""
    try:
        refuse_pointer(path, CheckpointError, path)
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})", where=path, remedy="check its permissions"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"not JSON ({error})", where=path, remedy="download the checkpoint again") from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"got a JSON {type(value).__name__}", where=path, wanted="an object", remedy="download it again"
        )
    return value


def _modern_names(tensors: dict[str, Array]) -> dict[str, Array]:
    """Norms were called LayerNorm.gamma and LayerNorm.beta in checkpoints made from TensorFlow's BERT."""
    old = {".gamma": ".weight", ".beta": ".bias"}
    return {re.sub(r"\.(gamma|beta)$", lambda end: old[end.group()], name): array for name, array in tensors.items()}


def _read_card(folder: Path) -> str | None:
    parts = []
    for name in ("README.md", *LICENCE_FILES):
        file = folder / name
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            parts.append(text if name == "README.md" else f"## {name}\n\n{text}")
    return "\n\n".join(parts) or None


def _hash(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
