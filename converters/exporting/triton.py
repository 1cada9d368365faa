"""A model repository of Triton: the model for its OpenVINO backend, and the bundle behind its Python backend.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from collections.abc import Iterable

from converters.exporting.repository import Repository, text_outputs
from edge_qa.bundle.bundle import Bundle

_TYPES = {"BYTES": "TYPE_STRING", "FP64": "TYPE_FP64", "INT64": "TYPE_INT64", "i64": "TYPE_INT64", "i32": "TYPE_INT32"}

_MODEL = """\
from edge_qa.integrations.servers.triton import TritonPythonModel

__all__ = ["TritonPythonModel"]
"""


def write(bundle: Bundle, repository: Repository) -> list[str]:
    """Write the repository; returns how it is started."""
    name, tensors = repository.name, repository.tensors
    io = bundle.manifest.io
    repository.write_model(bundle, f"{tensors}/1")
    # Axes that are dynamic are -1; the batch is one of the model's own axes, which "max_batch_size: 0" says.
    shape = [-1 if size is None else size for size in (io.batch, io.tokens)]
    repository.write(
        f"{tensors}/config.pbtxt",
        _config(
            tensors,
            "openvino",
            [(one.name, _TYPES[one.type], shape) for one in io.inputs.values()],
            [(output, "TYPE_FP32", shape) for output in io.outputs.values()],
        ),
    )
    repository.copy_bundle(bundle, f"{name}/1/bundle")
    repository.write(f"{name}/1/model.py", _MODEL)
    repository.write(
        f"{name}/config.pbtxt",
        _config(
            name,
            "python",
            [(tensor, "TYPE_STRING", [-1]) for tensor in ("question", "context")],
            [(tensor, _TYPES[kind], [-1]) for tensor, kind in text_outputs(bundle).items()],
        ),
    )
    return ["pip install edge-qa", f"tritonserver --model-repository {repository.final}"]


def _config(
    name: str,
    backend: str,
    inputs: Iterable[tuple[str, str, list[int]]],
    outputs: Iterable[tuple[str, str, list[int]]],
) -> str:
    lines = [f'name: "{name}"', f'backend: "{backend}"', "max_batch_size: 0"]
    for kind, tensors in (("input", inputs), ("output", outputs)):
        lines += [
            f'{kind} {{ name: "{tensor}" data_type: {type_} dims: [ {", ".join(map(str, shape))} ] }}'
            for tensor, type_, shape in tensors
        ]
    lines.append("instance_group { count: 1 kind: KIND_CPU }")
    return "\n".join(lines) + "\n"
