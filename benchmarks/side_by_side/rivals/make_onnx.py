"""Make the three models that ONNX Runtime runs: make_onnx.py, job as JSON on stdin.

job: checkpoint, tokenizer, output (a folder), calibration (pairs). Float32 by torch's own exporter; INT8 by
ONNX Runtime's quantizer, dynamic and static, with what its guide advises for x86: 8-bit weights a scale a
channel, unsigned activations, matrix products alone, the model preprocessed first.
"""

import json
import sys
from pathlib import Path

from squad_loop import SquadLoop, plain_encoder

NAMES = ("input_ids", "attention_mask", "token_type_ids")


def export(checkpoint, path):
    """Write the float32 model, batch and tokens dynamic."""
    import torch
    from transformers import AutoModelForQuestionAnswering

    model = AutoModelForQuestionAnswering.from_pretrained(
        checkpoint, torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    taken = {name: torch.ones(1, 16, dtype=torch.long) for name in NAMES}
    model.config.return_dict = False
    torch.onnx.export(
        model,
        tuple(taken.values()),
        str(path),
        input_names=list(NAMES),
        output_names=["start_logits", "end_logits"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*NAMES, "start_logits", "end_logits")},
        opset_version=17,
        dynamo=False,
    )


def quantize(folder, tokenizer, pairs):
    """Write the two INT8 models beside the float32 one."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = folder / "preprocessed.onnx"
    quant_pre_process(str(folder / "fp32.onnx"), str(ready), skip_symbolic_shape=True)
    quantize_dynamic(str(ready), str(folder / "int8-dynamic.onnx"), weight_type=QuantType.QInt8, per_channel=True)

    encode = plain_encoder(tokenizer)
    loop = SquadLoop(encode, None, NAMES)

    class Samples(CalibrationDataReader):
        """One window a question, at its true length."""

        def __init__(self):
            self.left = iter(pairs)

        def get_next(self):
            pair = next(self.left, None)
            return None if pair is None else loop.batch([encode(*pair)[0]])

    quantize_static(
        str(ready),
        str(folder / "int8-static.onnx"),
        Samples(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )
    ready.unlink()


if __name__ == "__main__":
    job = json.load(sys.stdin)
    folder = Path(job["output"])
    folder.mkdir(parents=True, exist_ok=True)
    export(job["checkpoint"], folder / "fp32.onnx")
    quantize(folder, job["tokenizer"], job["calibration"])
