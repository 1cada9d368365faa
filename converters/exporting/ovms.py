"""A model repository of OpenVINO Model Server: the model, and a graph with a Python node around the whole bundle.

The server reads the repository at /models, as its container has it.
https://docs.openvino.ai/2026/model-server/ovms_docs_models_repository.html
"""

from converters.exporting.repository import Repository, text_outputs
from edge_qa.bundle.bundle import Bundle

_ROOT = "/models"

_NODE = """\
from edge_qa.integrations.servers.ovms import OvmsPythonModel

__all__ = ["OvmsPythonModel"]
"""

_CONTAINERFILE = """\
# The public image has Python, and not what the node needs.
FROM docker.io/openvino/model_server:latest
USER root
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/* \\
    && pip3 install --no-cache-dir --break-system-packages edge-qa
USER ovms
COPY . /models
CMD ["--config_path", "/models/config.json", "--rest_port", "8000", "--port", "9000"]
"""


def write(bundle: Bundle, repository: Repository) -> list[str]:
    """Write the repository; returns how it is started."""
    name, tensors = repository.name, repository.tensors
    repository.write_model(bundle, f"{tensors}/1")
    repository.copy_bundle(bundle, f"{name}/bundle")
    # The server loads each file name once, so that the node's has the model's name in it.
    node = f"{name.replace('.', '_').replace('-', '_')}_node.py"
    repository.write(f"{name}/{node}", _NODE)
    repository.write(f"{name}/graph.pbtxt", _graph(name, node, list(text_outputs(bundle))))
    repository.write_json(
        "config.json",
        {
            "model_config_list": [
                {
                    "config": {
                        "name": tensors,
                        "base_path": f"{_ROOT}/{tensors}",
                        # The same scores on every CPU, as everywhere in Edge QA.
                        "plugin_config": {"INFERENCE_PRECISION_HINT": "f32"},
                    }
                }
            ],
            "mediapipe_config_list": [{"name": name, "graph_path": f"{_ROOT}/{name}/graph.pbtxt"}],
        },
    )
    repository.write("Containerfile", _CONTAINERFILE)
    return [f"docker build -t {name.lower()} {repository.final}", f"docker run -p 8000:8000 {name.lower()}"]


def _graph(name: str, node: str, outputs: list[str]) -> str:
    inputs = ["question", "context"]
    lines = [f'input_stream: "OVMS_PY_TENSOR_{tensor.upper()}:{tensor}"' for tensor in inputs]
    lines += [f'output_stream: "OVMS_PY_TENSOR_{tensor.upper()}:{tensor}"' for tensor in outputs]
    lines += [
        "",
        "node {",
        f'  name: "{name}"',
        '  calculator: "PythonExecutorCalculator"',
        '  input_side_packet: "PYTHON_NODE_RESOURCES:py"',
        *(f'  input_stream: "{tensor.upper()}:{tensor}"' for tensor in inputs),
        *(f'  output_stream: "{tensor.upper()}:{tensor}"' for tensor in outputs),
        "  node_options: {",
        "    [type.googleapis.com / mediapipe.PythonExecutorCalculatorOptions]: {",
        f'      handler_path: "{_ROOT}/{name}/{node}"',
        "    }",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
