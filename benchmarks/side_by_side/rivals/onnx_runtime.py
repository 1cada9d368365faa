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
    loop.detail = f"fastest of {', '.join(f'{name} {ms} ms' for name, ms in chosen['ms'].items())}"
    return loop


if __name__ == "__main__":
    serve(load)
