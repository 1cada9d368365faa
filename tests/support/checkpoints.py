"""Tiny seeded BERT checkpoints in the exact Hugging Face format, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a an of in on is was who what where when why how did many ? . , ! ' - ( ) "
    "ada wrote book house river bridge built engine year first second city london paris water stone iron green blue "
    "##s ##ed ##ing ##er ##a ##b ##c ##d ##e 1 2 3 4 5 6 7 8 9 0 18 43 "
    "a b c d e f g h i j k l m n o p q r s t u v w x y z"
)
VOCABULARY = list(dict.fromkeys(WORDS.split()))


def bert_tensors(
    *, layers: int = 2, hidden: int = 32, heads: int = 4, ffn: int = 48, positions: int = 64, seed: int = 0
) -> dict[str, np.ndarray]:
    """Seeded float32 tensors under the names of BertForQuestionAnswering; values large enough to matter."""
    random = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 0.3) -> np.ndarray:
        return random.normal(0, scale, shape).astype(np.float32)

    tensors = {
        "bert.embeddings.word_embeddings.weight": draw(len(VOCABULARY), hidden),
        "bert.embeddings.position_embeddings.weight": draw(positions, hidden),
        "bert.embeddings.token_type_embeddings.weight": draw(2, hidden),
        "qa_outputs.weight": draw(2, hidden),
        "qa_outputs.bias": draw(2),
    }

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = 1 + draw(hidden, scale=0.1)
        tensors[f"{name}.bias"] = draw(hidden, scale=0.1)

    def linear(name: str, outputs: int, inputs: int) -> None:
        tensors[f"{name}.weight"] = draw(outputs, inputs, scale=1.5 / np.sqrt(inputs))
        tensors[f"{name}.bias"] = draw(outputs, scale=0.2)

    norm("bert.embeddings.LayerNorm")
    for index in range(layers):
        name = f"bert.encoder.layer.{index}"
        for part in ("query", "key", "value"):
            linear(f"{name}.attention.self.{part}", hidden, hidden)
        linear(f"{name}.attention.output.dense", hidden, hidden)
        norm(f"{name}.attention.output.LayerNorm")
        linear(f"{name}.intermediate.dense", ffn, hidden)
        linear(f"{name}.output.dense", hidden, ffn)
        norm(f"{name}.output.LayerNorm")
    assert hidden % heads == 0
    return tensors


def bert_config(
    *, layers: int = 2, hidden: int = 32, heads: int = 4, ffn: int = 48, positions: int = 64, **extra: Any
) -> dict[str, Any]:
    """config.json of such a checkpoint."""
    return {
        "architectures": ["BertForQuestionAnswering"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "type_vocab_size": 2,
        "vocab_size": len(VOCABULARY),
        **extra,
    }


def write_checkpoint(
    folder: Path,
    *,
    tensors: dict[str, np.ndarray] | None = None,
    config: dict[str, Any] | None = None,
    vocabulary: list[str] | None = None,
) -> Path:
    """Write a checkpoint folder with vocab.txt and model.safetensors; everything has a default."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(bert_config() if config is None else config))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY if vocabulary is None else vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    save_file(bert_tensors() if tensors is None else tensors, folder / "model.safetensors")
    return folder
