"""The service without its extra."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.places import ROOT

NEEDED = ("starlette", "uvicorn", "prometheus_client", "msgspec")


@pytest.mark.parametrize("lacking", NEEDED)
def test_without_the_extra_the_command_says_what_brings_it(lacking):
    code = (
        f"import sys; sys.modules[{lacking!r}] = None\n"
        "from edge_qa.cli import main; main(['serve', 'bundle', '--port', '0'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("is not installed; pip install 'edge-qa[serve]' brings it")


def test_the_other_tests_of_the_service_run():
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"the extra serve is not installed ({', '.join(missing)}): the service is not tested")
