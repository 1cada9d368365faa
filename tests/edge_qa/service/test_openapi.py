"""The description of the service: made of the types, and true."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_qa.service.api.openapi import openapi
from tests.support.service import SMALL_BUNDLE, Service

# What no schema can say: a text of control characters alone has no tokens, tensors do not fit together, an option is
# too much for this model.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "422"]
"""
# A small dose; more of them, and the phases "coverage" and "stateful", found nothing else.
EXAMPLES = 8


def test_the_description_holds_what_the_types_say(service: Service):
    description = service.get("/openapi.json").json
    assert description == openapi(SMALL_BUNDLE.name, with_token=False)
    schemas = description["components"]["schemas"]
    assert schemas["Parameters"]["properties"]["top_k"]["anyOf"][0] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "How many answers, best first.",
    }
    assert schemas["QuestionContext"]["additionalProperties"] is False
    references = {word for word in str(description).split("'") if word.startswith("#/components/schemas/")}
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    assert "/v2/models/{name}/infer" in description["paths"]


def test_with_a_token_every_path_but_the_open_ones_asks_for_it():
    description = openapi("any", with_token=True)
    assert description["security"] == [{"token": []}]
    free = {
        path for path, operations in description["paths"].items() if operations.get("get", {}).get("security") == []
    }
    assert free == {"/", "/health", "/v2/health/live", "/v2/health/ready"}


def test_every_answer_is_as_described(service: Service, tmp_path: Path):
    if find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    url = f"http://127.0.0.1:{service.port}/openapi.json"
    options = ["--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--phases"]
    done = subprocess.run(
        [str(program), "run", url, *options, "examples,fuzzing"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
