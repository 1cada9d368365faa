"""The wheel of edge-qa-kernels: for every Python, and the same bytes whenever it is built."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.kernels import FULL, SOURCE, needs_compiler


def wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(SOURCE)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode and "scikit-build-core" in done.stderr:
        pytest.skip("scikit-build-core cannot be had here")
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.skipif(not FULL, reason="builds twice; make check-native")
def test_two_builds_give_the_same_bytes(tmp_path):
    needs_compiler()
    first, second = (wheel(tmp_path / name) for name in ("a", "b"))
    assert first.name == second.name
    assert "-py3-none-" in first.name
    with zipfile.ZipFile(first) as archive:
        assert "edge_qa_kernels/libedge_qa_kernels.so" in archive.namelist()
    assert first.read_bytes() == second.read_bytes()
