"""A service connects to nobody."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.service import SMALL_BUNDLE, running

pytestmark = pytest.mark.strace


def test_a_service_without_documents_makes_no_connection(tmp_path: Path):
    if (
        shutil.which("strace") is None
        or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("strace is not here, or may not trace")
    trace = tmp_path / "trace"
    tracer = ["strace", "-D", "--follow-forks", "--trace=connect,execve", "--output", str(trace)]
    with running(SMALL_BUNDLE, under=tracer) as service:
        assert service.ask("When?", "Lit in 1871.").json["answer"] == "1871"
        assert service.get("/").status == 200
    calls = trace.read_text()  # whole: the tracer ended with what it traced
    assert len(re.findall(r"execve\(.* = 0$", calls, re.MULTILINE)) >= 2  # the service and its worker were traced
    assert "connect(" not in calls
