"""The wheel holds what is in the checkout, and nothing of an earlier build."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge_qa", "converters", "calibration")


@pytest.mark.skipif(os.environ.get("EDGE_QA_SLOW_PAGES") != "1", reason="builds two wheels; make docs")
def test_a_wheel_holds_what_is_there_and_building_it_leaves_nothing_behind(tmp_path):
    source = tmp_path / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    there = files(source)
    old = source / "edge_qa" / "old.py"
    old.write_text("")
    assert "edge_qa/old.py" in wheel(source, tmp_path / "a")
    old.unlink()
    assert {name for name in wheel(source, tmp_path / "b") if ".dist-info/" not in name} == {
        name for name in there if name.startswith(PACKAGES)
    }
    assert files(source) == there


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def wheel(source: Path, folder: Path) -> set[str]:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("hatchling cannot be had here")
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = folder.glob("*.whl")
    with zipfile.ZipFile(found) as archive:
        return set(archive.namelist())
