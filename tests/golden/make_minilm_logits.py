"""Write minilm_logits.npz: logits of the carried checkpoint as transformers computes them.

Run in an environment with the torch extra, from the root of the repository:

    python tests/golden/make_minilm_logits.py

Made with transformers 4.57.6 and torch 2.13.0 (CPU, float32, eager attention). For each length and
batch size the file holds the inputs and `start` and `end` logits; in a batch of four, rows two to
four are padded at the right, the last to a quarter of its length.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import BertForQuestionAnswering

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (8, 64, 177, 384)
BATCHES = (1, 4)


def main() -> None:
    """Write the golden file beside this script."""
    model = BertForQuestionAnswering.from_pretrained(
        ROOT / "examples" / "models" / "minilm-squad", attn_implementation="eager", torch_dtype=torch.float32
    ).eval()
    random = np.random.default_rng(20)
    arrays: dict[str, np.ndarray] = {}
    for tokens in LENGTHS:
        for batch in BATCHES:
            real = np.arange(tokens) < np.linspace(tokens, tokens // 4, batch).astype(int)[:, None]
            inputs = {
                "input_ids": random.integers(0, model.config.vocab_size, (batch, tokens)) * real,
                "attention_mask": real.astype(np.int64),
                "token_type_ids": ((np.arange(tokens) >= tokens // 3) & real).astype(np.int64),
                "position_ids": np.tile(np.arange(tokens), (batch, 1)),
            }
            with torch.no_grad():
                output = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
            case = f"{tokens}x{batch}"
            arrays |= {f"{case}/{name}": array.astype(np.int32) for name, array in inputs.items()}
            arrays[f"{case}/start"] = output.start_logits.numpy()
            arrays[f"{case}/end"] = output.end_logits.numpy()
    np.savez_compressed(Path(__file__).with_name("minilm_logits.npz"), **arrays)


if __name__ == "__main__":
    main()
