"""The folder that an export is written into: models side by side, a version each."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MANIFEST_NAME, MODEL_BIN, MODEL_XML


@dataclass(frozen=True)
class Repository:
    """Where files are written; final: the folder's name once it is whole. name: of the model that takes text."""

    folder: Path
    final: Path
    name: str

    @property
    def tensors(self) -> str:
        """The name of the model that takes token ids."""
        return f"{self.name}-tensors"

    def write(self, path: str, content: str) -> None:
        """Write one file, and the folders that it stands in."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")

    def write_json(self, path: str, value: Any) -> None:
        """Write one JSON file."""
        self.write(path, json.dumps(value, indent=2) + "\n")

    def copy_bundle(self, bundle: Bundle, path: str) -> None:
        """Copy a whole bundle, and check every byte of the copy. Raises BundleError."""
        target = self.folder / path
        target.mkdir(parents=True)
        for name in (*bundle.manifest.files, MANIFEST_NAME):
            shutil.copyfile(bundle.path / name, target / name)
        Bundle.load(target)

    def write_model(self, bundle: Bundle, path: str) -> None:
        """Write the model alone, as `model.xml` and `model.bin`: it takes token ids and gives logits."""
        self.write(f"{path}/{MODEL_XML}", bundle.model_xml.decode())
        (self.folder / path / MODEL_BIN).write_bytes(bundle.model_bin.tobytes())


def text_outputs(bundle: Bundle) -> dict[str, str]:
    """Return the outputs of a model that takes text, and their types in the Open Inference Protocol."""
    outputs = {"answer": "BYTES", "score": "FP64", "confidence": "FP64", "start": "INT64", "end": "INT64"}
    if bundle.manifest.confidence is None:
        del outputs["confidence"]
    return outputs
