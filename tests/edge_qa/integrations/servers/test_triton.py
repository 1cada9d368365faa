"""The model of Triton's Python backend, with a stand-in for the server's module, and in a server where one is."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from converters.exporting.export import export
from edge_qa.errors import ResourceError
from tests.conftest import ROOT
from tests.support.network import free_port

MODULE = "edge_qa.integrations.servers.triton"
BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
TEXTS = {"question": ["When?", "Who kept it?"], "context": ["It was lit in 1871.", "Marta Lind kept it."]}


class TritonError:
    INVALID_ARG = 3

    def __init__(self, message, code):
        self.message, self.code = message, code


@dataclass
class Tensor:
    name: str
    values: np.ndarray

    def as_numpy(self):
        return self.values


@dataclass
class Response:
    output_tensors: list = field(default_factory=list)
    error: TritonError | None = None


@pytest.fixture
def model(monkeypatch, tmp_path):
    server = ModuleType("triton_python_backend_utils")
    server.Tensor, server.TritonError, server.InferenceResponse = Tensor, TritonError, Response
    server.get_input_tensor_by_name = lambda request, name: request.get(name)
    monkeypatch.setitem(sys.modules, server.__name__, server)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "bundle").symlink_to(BUNDLE)
    model = import_module(MODULE).TritonPythonModel()
    model.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    yield model
    model.finalize()
    sys.modules.pop(MODULE)


def asked(texts: dict[str, list[str]]) -> dict[str, Tensor]:
    values = {name: np.array([text.encode() for text in column], dtype=object) for name, column in texts.items()}
    return {name: Tensor(name, column) for name, column in values.items()}


def test_each_request_gets_its_answers_or_its_error(model):
    one, blank, other = model.execute([asked(TEXTS), asked({**TEXTS, "question": ["When?", " "]}), {}])
    found = {tensor.name: tensor.values.tolist() for tensor in one.output_tensors}
    assert (found["answer"], found["start"], found["end"]) == (["1871", "Marta Lind"], [14, 0], [18, 10])
    assert one.error is None
    assert (blank.output_tensors, blank.error.code) == ([], TritonError.INVALID_ARG)
    assert blank.error.message.startswith("question[1]: is blank")
    assert other.error.message == "question: is missing"


def test_outside_of_the_server_the_import_says_so():
    sys.modules.pop(MODULE, None)
    with pytest.raises(ResourceError, match="triton_python_backend_utils is part of Triton"):
        import_module(MODULE)


def post(port: int, texts: dict[str, list[str]]) -> tuple[int, dict]:
    inputs = [{"name": n, "shape": [len(t)], "datatype": "BYTES", "data": t} for n, t in texts.items()]
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/qa/infer", body)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.skipif(find_spec("pytriton") is None, reason="nvidia-pytriton, which brings a Triton, is not installed")
def test_the_server_itself_answers(tmp_path):
    server = Path(str(find_spec("pytriton").origin)).parent / "tritonserver"
    backends = tmp_path / "backends"
    shutil.copytree(server / "backends", backends)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    program = shutil.copy(server / "bin" / "tritonserver", tmp_path)
    for path in (stub, program):
        os.chmod(path, 0o755)
    out = export(BUNDLE, tmp_path / "out", target="triton", name="qa").path
    shutil.rmtree(out / "qa-tensors")  # its OpenVINO backend is not in that package
    port, packages = free_port(), server.parent.parent
    environment = {
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    options = ["--http-address", "127.0.0.1", "--http-port", str(port), "--allow-grpc", "0", "--allow-metrics", "0"]
    command = [program, "--model-repository", str(out), "--backend-directory", str(backends), *options]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(300):
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/qa/ready", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            status, found = post(port, TEXTS)
            assert status == 200, found
            columns = {output["name"]: output["data"] for output in found["outputs"]}
            assert (columns["answer"], columns["start"], columns["end"]) == (["1871", "Marta Lind"], [14, 0], [18, 10])
            status, found = post(port, {**TEXTS, "question": ["When?", " "]})
            assert (status, found["error"]) == (400, "question[1]: is blank; give some text")
        finally:
            process.terminate()
