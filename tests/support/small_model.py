"""The small model that is pruned, and what it is looked at with."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.model.encoder import Encoder
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.places import GOLDEN_FILES

FAMILIES = GOLDEN_FILES / "families"
SIZES = {"layers": 2, "hidden": 128, "heads": 4, "ffn": 256}
LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NAMES = [f"bert.encoder.layer.{layer}.{name}.weight" for layer in range(2) for name in LINEARS]


def source_of(folder: Path) -> Path:
    """Four heads of 32 in each of two layers; the first channels are large, so that norms matter."""
    tensors = bert_tensors(**SIZES)
    tensors["bert.embeddings.LayerNorm.weight"][:40] *= 6
    for name, array in tensors.items():
        tensors[name] = array.astype(np.float16).astype(np.float32)
    write_checkpoint(folder, tensors=tensors, config=bert_config(**SIZES))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n\nF1 80.\n")
    return folder


def write_questions(folder: Path) -> Path:
    words = "ada wrote the first book in london of the iron bridge a city on the water . the engine is built of stone ."
    lines = [
        {"question": question, "context": " ".join(words.split()[:size])}
        for question in ("who wrote it ?", "where is the bridge ?", "what is built of stone ?")
        for size in range(5, 22)
    ]
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def encoder_of(folder: Path) -> Encoder:
    return read_encoder(read_checkpoint(folder))
