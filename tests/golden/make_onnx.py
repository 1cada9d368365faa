"""Make tests/golden/onnx: two tiny BERT models exported to ONNX by torch, and the logits that torch gives for them.

Run with torch 2.13, transformers 4.57 and onnx 1.23, and nothing of this project:

    python tests/golden/make_onnx.py

pair.onnx     input_ids, attention_mask, token_type_ids; start_logits, end_logits; both axes dynamic
single.onnx   input.1, input.2, input.3 (names that an exporter made up); one output (batch, tokens, 2); 24 tokens fixed
external.onnx pair.onnx with its weights in another file, external.data
expected.json inputs of one padded batch, and its logits in float32
"""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from transformers import BertConfig, BertForQuestionAnswering

FOLDER = Path(__file__).parent / "onnx"
TOKENS, REAL = 24, (24, 15)
# As tests/support/checkpoints.py has it at the time of writing; kept here, because the models' tables must fit it.
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a of in was who what where when wrote book house river bridge built "
    "ada london paris stone first second . , ? ##s ##ed ##ing 1 2 3 a b c d e f g h i j k l m n o p q r s t u v w x y z"
)
VOCABULARY = list(dict.fromkeys(WORDS.split()))


class Pair(torch.nn.Module):
    """Inputs in the order of the Open Model Zoo, two outputs."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
        output = self.model(input_ids, attention_mask, token_type_ids)
        return output.start_logits, output.end_logits


class Single(Pair):
    """One output (batch, tokens, 2), start before end."""

    def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
        return torch.stack(super().forward(input_ids, attention_mask, token_type_ids), -1)


def make_model() -> BertForQuestionAnswering:
    """A BERT whose weights are large enough for every part of it to matter."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        attn_implementation="eager",
    )
    model = BertForQuestionAnswering(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float(name.endswith("LayerNorm.weight")), std=0.4)
    return model


def export(module: torch.nn.Module, name: str, names: list[str], outputs: list[str], *, dynamic: bool) -> None:
    """Write one model as a single file, with the exporter that traces."""
    example = tuple(torch.ones(1, TOKENS, dtype=torch.int64) for _ in names)
    axes = {key: {0: "batch", 1: "tokens"} for key in names + outputs} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),  # the exporter leaves a module in the mode it found it in
            example,
            str(FOLDER / name),
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    model = make_model()
    export(
        Pair(model),
        "pair.onnx",
        ["input_ids", "attention_mask", "token_type_ids"],
        ["start_logits", "end_logits"],
        dynamic=True,
    )
    export(Single(model), "single.onnx", ["input.1", "input.2", "input.3"], ["logits"], dynamic=False)
    external = onnx.load(str(FOLDER / "pair.onnx"))
    onnx.save_model(
        external, str(FOLDER / "external.onnx"), save_as_external_data=True, location="external.data", size_threshold=64
    )
    random = np.random.default_rng(0)
    real = np.arange(TOKENS) < np.array(REAL)[:, None]
    inputs = {
        "input_ids": random.integers(0, len(VOCABULARY), real.shape) * real,
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(TOKENS) >= 8) & real).astype(np.int64),
    }
    with torch.no_grad():
        start, end = Pair(model).eval()(*(torch.from_numpy(array) for array in inputs.values()))
    expected = {key: array.tolist() for key, array in inputs.items()}
    expected |= {"start": start.tolist(), "end": end.tolist()}
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    (FOLDER / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")


if __name__ == "__main__":
    main()
