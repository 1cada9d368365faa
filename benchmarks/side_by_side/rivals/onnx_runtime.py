"""ONNX Runtime with the `tokenizers` library, in the loop that its users write: no transformers and no torch."""

import json
from pathlib import Path

from protocol import serve
from squad_loop import SquadLoop, plain_encoder


def load(job):
    """job: model (an .onnx file), tokenizer (a tokenizer.json), threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    loop = SquadLoop(plain_encoder(job["tokenizer"]), lambda arrays: session.run(None, arrays))
    loop.names = tuple(given.name for given in session.get_inputs())
    chosen = json.loads(Path(job["model"]).with_suffix(".json").read_text())
    said = [f"{name} {one['ms']} ms, {one['agreement']} % as float32" for name, one in chosen["candidates"].items()]
    loop.detail = f"{chosen['kept']} kept, of {'; '.join(said)}"
    return loop


if __name__ == "__main__":
    serve(load)
