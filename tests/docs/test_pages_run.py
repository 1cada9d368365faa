"""Every command and every Python block of README and guide does what the page says it does."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.page_blocks import PAGES, ROOT, Block, blocks_of, lacks, matches, needs

# `make docs` sets it: guides are run there, with the blocks that take long. README is run by `make test`, too.
SLOW = os.environ.get("EDGE_QA_SLOW_PAGES") == "1"
RUN = PAGES if SLOW else PAGES[:1]
_TIMEOUT_S = 600
_PROGRESS = re.compile(r"^[\w ]+(: \d+/\d+  \d+%|.*, \d+ min since the start)\n", re.MULTILINE)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that looks like the root of the repository, where nothing can be damaged."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bundle(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """A bundle that earlier pages make, by its name; made once a run of the tests."""
    return lambda name: request.getfixturevalue({"bundles/fp16": "fp16_bundle", "bundles/int8": "int8_bundle"}[name])


@pytest.mark.parametrize("page", RUN, ids=_name)
def test_the_page_does_what_it_says(page: Path, place: Path, bundle: Callable[[str], Path]) -> None:
    if missing := lacks(page):
        pytest.skip(f"needs {', '.join(missing)}")
    for name in needs(page):
        shutil.copytree(bundle(name), place / name)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.not_run is not None or (block.slow and not SLOW):
            continue
        if block.needs is not None and find_spec(block.needs) is None:
            continue
        code, output = _shell(block, place) if block.language == "sh" else (0, _python(block, names))
        where = f"{_name(page)}:{block.line}"
        assert code == block.exit, f"{where}: exit code {code}, wanted {block.exit}:\n{output}"
        if block.output is not None and not block.varies:
            assert matches(block.output, output), f"{where}: the page shows\n{block.output}\nand this came:\n{output}"


def _shell(block: Block, place: Path) -> tuple[int, str]:
    """Run the commands as a reader would who pastes them; both streams in the order they came."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    # A busy machine takes minutes, and each has a line.
    return done.returncode, _PROGRESS.sub("", done.stdout)


def _python(block: Block, names: dict[str, object]) -> str:
    """Run the block in this process; the blocks of a page share their names."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        if block.needs is not None:
            warnings.simplefilter("ignore")  # what another library warns of is its own matter
        exec(compile(block.code, f"line {block.line}", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_what_is_not_run_says_why(page: Path) -> None:
    reasons = [block.not_run for block in blocks_of(page) if block.not_run is not None]
    assert all(len(reason or "") > 10 for reason in reasons)
