"""The model of MLServer, in the server itself."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("mlserver", reason="the extra mlserver is not installed")

from converters.exporting.export import export
from tests.conftest import ROOT
from tests.support.network import free_port

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
TEXTS = {"question": ["When?", "Who kept it?"], "context": ["It was lit in 1871.", "Marta Lind kept it."]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server that an export was started with."""
    folder = tmp_path_factory.mktemp("mlserver")
    out = export(BUNDLE, folder / "out", target="mlserver", name="qa").path
    port = free_port()
    environment = os.environ | {
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    program = [str(Path(sys.executable).parent / "mlserver"), "start", str(out)]
    with (folder / "log").open("w") as log, subprocess.Popen(program, env=environment, stdout=log, stderr=log) as done:
        try:
            for _ in range(300):
                assert done.poll() is None, (folder / "log").read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/qa/ready", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            done.terminate()


def infer(server: str, texts: dict[str, list[str]]) -> tuple[int, dict]:
    inputs = [{"name": n, "shape": [len(t)], "datatype": "BYTES", "data": t} for n, t in texts.items()]
    request = urllib.request.Request(
        f"{server}/v2/models/qa/infer",
        json.dumps({"inputs": inputs}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_answers_have_the_types_and_shapes_of_the_metadata(server):
    status, found = infer(server, TEXTS)
    assert status == 200
    outputs = {output["name"]: output for output in found["outputs"]}
    with urllib.request.urlopen(f"{server}/v2/models/qa") as response:
        metadata = json.load(response)
    assert [(name, output["datatype"]) for name, output in outputs.items()] == [
        (output["name"], output["datatype"]) for output in metadata["outputs"]
    ]
    assert all(output["shape"] == [2] for output in outputs.values())
    assert outputs["answer"]["data"] == ["1871", "Marta Lind"]
    assert (outputs["start"]["data"], outputs["end"]["data"]) == ([14, 0], [18, 10])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({**TEXTS, "question": ["When?", " "]}, "question[1]: is blank; give some text"),
        ({"question": ["When?"]}, "got the inputs question, wanted question and context"),
        ({"question": ["When?"], "context": ["1.", "2."]}, "got 1 questions and 2 contexts"),
    ],
)
def test_what_cannot_be_answered_is_the_client_s_error(server, texts, said):
    status, found = infer(server, texts)
    assert status == 400
    assert found["error"].startswith(said)
    assert infer(server, TEXTS)[0] == 200
