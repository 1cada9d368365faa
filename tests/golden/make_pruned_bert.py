"""Write pruned_bert/: a tiny checkpoint as nn_pruning leaves one, and the logits that transformers computes for it.

Run in an environment with the torch extra, from the root of the repository:

    PYTHONPATH=. python tests/golden/make_pruned_bert.py

Made with transformers 4.57.6 and torch 2.13.0 (CPU, float32, eager attention). Two layers, hidden
size 32, 4 heads of 8, ReLU; heads 1 and 3 of layer 0 and head 0 of layer 1 are removed by
transformers itself, and of 24 neurons the last 10 and 4 are zeros ("hybrid-filled"). config.json and
pytorch_model.bin are what `save_pretrained` wrote; logits.npz holds the inputs and both logits.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import BertForQuestionAnswering

from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint

FOLDER = Path(__file__).with_name("pruned_bert")
SIZES = {"hidden": 32, "heads": 4, "ffn": 24, "positions": 24}
FILLED = {0: 14, 1: 20}
PRUNED = {0: [1, 3], 1: [0]}
TOKENS = 20


def main() -> None:
    """Write the folder beside this script."""
    # Values that float16 holds exactly, so that a bundle computes with the very same weights.
    tensors = {
        name: array.astype(np.float16).astype(np.float32) for name, array in bert_tensors(seed=5, **SIZES).items()
    }
    for layer, width in FILLED.items():
        name = f"bert.encoder.layer.{layer}"
        tensors[f"{name}.intermediate.dense.weight"][width:] = 0
        tensors[f"{name}.intermediate.dense.bias"][width:] = 0
        tensors[f"{name}.output.dense.weight"][:, width:] = 0
    with tempfile.TemporaryDirectory() as whole:
        config = bert_config(hidden_act="relu", **SIZES)
        write_checkpoint(Path(whole), tensors=tensors, config=config)
        model = BertForQuestionAnswering.from_pretrained(whole, attn_implementation="eager").eval()
        model.prune_heads(PRUNED)
        shutil.rmtree(FOLDER, ignore_errors=True)
        model.save_pretrained(FOLDER, safe_serialization=False)
        shutil.copyfile(Path(whole) / "vocab.txt", FOLDER / "vocab.txt")
    saved = json.loads((FOLDER / "config.json").read_text())
    assert saved["pruned_heads"] == {"0": [1, 3], "1": [0]}
    assert saved["num_attention_heads"] == SIZES["heads"]
    random = np.random.default_rng(6)
    real = np.arange(TOKENS) < np.array([[TOKENS], [9]])
    inputs = {
        "input_ids": random.integers(0, config["vocab_size"], real.shape) * real,
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(TOKENS) >= 7) & real).astype(np.int64),
        "position_ids": np.tile(np.arange(TOKENS), (2, 1)),
    }
    # What was saved is loaded again: its logits are those of the files.
    model = BertForQuestionAnswering.from_pretrained(FOLDER, attn_implementation="eager").eval()
    with torch.no_grad():
        output = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    np.savez_compressed(
        FOLDER / "logits.npz", **inputs, start=output.start_logits.numpy(), end=output.end_logits.numpy()
    )


if __name__ == "__main__":
    main()
