"""Make the three models that ONNX Runtime runs: make_onnx.py, job as JSON on stdin.

job: checkpoint, tokenizer, output (a folder), calibration (pairs), threads. Float32 by torch's own exporter, then
with and without ONNX Runtime's transformer optimizer, which its guide wants before quantizing; INT8 by its quantizer,
dynamic and static, a scale a channel of the weights. Of each kind several candidates are made; of those that answer
most like the float32 model, on some of the calibration pairs, the one that is fastest here is kept.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

from squad_loop import SquadLoop, plain_encoder

NAMES = ("input_ids", "attention_mask", "token_type_ids")
# How many pairs are timed, how often, to choose among candidates.
TIMED, ROUNDS = 12, 5
# On how many pairs the answers are compared, and how many percent points worse than the best a candidate may be.
COMPARED, ALLOWED = 100, 1.0


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


def optimize(plain, path, checkpoint):
    """Write the model with attention, norms and GELU fused by the transformer optimizer."""
    from onnxruntime.transformers import optimizer

    config = json.loads((Path(checkpoint) / "config.json").read_text())
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    made = optimizer.optimize_model(str(plain), model_type="bert", num_heads=heads, hidden_size=hidden)
    made.save_model_to_file(str(path))


def quantize(folder, loop, windows):
    """Write the candidates of both kinds of INT8."""
    from onnx import TensorProto
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        """One window a question, at its true length."""

        def __init__(self):
            self.left = iter(windows)

        def get_next(self):
            window = next(self.left, None)
            return None if window is None else loop.batch([window])

    ready = folder / "preprocessed.onnx"
    quant_pre_process(str(folder / "fp32-plain.onnx"), str(ready), skip_symbolic_shape=True)
    # Shape inference does not know the fused nodes.
    extra = {"DefaultTensorType": TensorProto.FLOAT}
    for kind, source in (("plain", ready), ("optimized", folder / "fp32-optimized.onnx")):
        quantize_dynamic(
            str(source),
            str(folder / f"int8-dynamic-{kind}.onnx"),
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options=extra,
        )
        for activations in (QuantType.QUInt8, QuantType.QInt8):
            quantize_static(
                str(source),
                str(folder / f"int8-static-{kind}-{activations.name}.onnx"),
                Samples(),
                quant_format=QuantFormat.QDQ,
                activation_type=activations,
                weight_type=QuantType.QInt8,
                per_channel=True,
                op_types_to_quantize=["MatMul"],
                extra_options=extra,
            )
    ready.unlink()


def keep_best(folder, kind, inputs, answers_of, wanted, threads):
    """Keep the fastest of a kind's candidates that answer as `wanted` like the best of them, as KIND.onnx.

    answers_of: from a session to its texts; wanted: the float32 model's.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    paths = sorted(folder.glob(f"{kind}-*.onnx"))
    sessions = [onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in paths]
    agreement = [100 * shared_words(answers_of(session), wanted) for session in sessions]
    good = [place for place, value in enumerate(agreement) if value >= max(agreement) - ALLOWED]
    times = [[] for _ in paths]
    for number in range(ROUNDS + 1):
        for session, own in zip(sessions, times, strict=True):
            begin = time.perf_counter()
            for arrays in inputs:
                session.run(None, arrays)
            if number:
                own.append(time.perf_counter() - begin)
    kept = min(good, key=lambda place: median(times[place]))
    found = {
        path.stem: {"ms": round(median(own) / len(inputs) * 1000, 2), "agreement": round(value, 1)}
        for path, own, value in zip(paths, times, agreement, strict=True)
    }
    (folder / f"{kind}.json").write_text(json.dumps({"kept": paths[kept].stem, "candidates": found}))
    for place, path in enumerate(paths):
        path.replace(folder / f"{kind}.onnx") if place == kept else path.unlink()


def shared_words(texts, wanted):
    """The mean F1 of the words of each text and the one wanted, 0 to 1."""
    found = []
    for text, other in zip(texts, wanted, strict=True):
        ours, theirs = Counter(text.lower().split()), Counter(other.lower().split())
        words = ours.total() + theirs.total()
        found.append(2 * (ours & theirs).total() / words if words else 1.0)
    return sum(found) / len(found)


if __name__ == "__main__":
    job = json.load(sys.stdin)
    place = Path(job["output"])
    place.mkdir(parents=True, exist_ok=True)
    export(job["checkpoint"], place / "fp32-plain.onnx")
    optimize(place / "fp32-plain.onnx", place / "fp32-optimized.onnx", job["checkpoint"])
    encode = plain_encoder(job["tokenizer"])
    first_windows = [encode(*pair)[0] for pair in job["calibration"]]
    whole_loop = SquadLoop(encode, None, NAMES)
    quantize(place, whole_loop, first_windows)
    timed = [whole_loop.batch([window]) for window in first_windows[:TIMED]]
    compared = job["calibration"][:: max(1, len(job["calibration"]) // COMPARED)][:COMPARED]

    def answers_of(session):
        loop = SquadLoop(encode, lambda arrays: session.run(None, arrays), [one.name for one in session.get_inputs()])
        return [loop.answer(*pair) for pair in compared]

    import onnxruntime

    wanted = answers_of(
        onnxruntime.InferenceSession(str(place / "fp32-plain.onnx"), providers=["CPUExecutionProvider"])
    )
    for name in ("fp32", "int8-dynamic", "int8-static"):
        keep_best(place, name, timed, answers_of, wanted, job["threads"])
