"""Building the C library for tests, and running packed models with it."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from ctypes import byref, c_void_p
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edge_qa.inference.native.library import CAP_VARIABLE, OK, PATHS, TEST_PATHS, Library, this_library
from edge_qa.inference.native.packed_model import PackedModel

SOURCE = Path(__file__).resolve().parents[2] / "kernels"
# Set to test a library that is already built, such as one with sanitizers.
LIBRARY_VARIABLE = "EDGE_QA_KERNELS_TEST_LIBRARY"
# What takes minutes: every path under the sanitizers, 10,000 damaged files, the wheel built twice. make check-native.
FULL = bool(os.environ.get("EDGE_QA_CHECK_KERNELS"))
ALL_PATHS = (*PATHS, *TEST_PATHS)


def build(name: str = "test", *options: str) -> Path:
    """Build the library in kernels/build/NAME, or what changed of it; skip the test where there is no compiler."""
    return _built(needs_compiler(), name, options)


def needs_compiler() -> str:
    """Return where cmake is; skip the test where it is not, or no compiler, or where the CPU is another."""
    if os.uname().machine != "x86_64":
        pytest.skip("the kernels are for x86-64")
    cmake = shutil.which("cmake")
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if cmake is None or compiler is None:
        pytest.skip("no C++ compiler, or no cmake")
    return cmake


@cache
def _built(cmake: str, name: str, options: tuple[str, ...]) -> Path:
    """Once a process; processes take turns, and find done what one has built."""
    folder = SOURCE / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            [cmake, *generator, "-S", str(SOURCE), "-B", str(folder), *options],
            [cmake, "--build", str(folder), "--parallel", "2"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def library_path() -> Path:
    """The library under test."""
    given = os.environ.get(LIBRARY_VARIABLE)
    return Path(given) if given else build() / "libedge_qa_kernels.so"


def install(folder: Path) -> Path:
    """Put the package edge_qa_kernels into a folder, as a wheel installs it; return the folder."""
    package = folder / "edge_qa_kernels"
    package.mkdir()
    (package / "__init__.py").write_bytes((SOURCE / "python" / "edge_qa_kernels" / "__init__.py").read_bytes())
    (package / "libedge_qa_kernels.so").symlink_to(library_path())
    return folder


@contextlib.contextmanager
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process and its children import the package from there, and from nowhere afterwards."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delenv(CAP_VARIABLE, raising=False)
    this_library.cache_clear()
    yield
    this_library.cache_clear()
    sys.modules.pop("edge_qa_kernels", None)


class Running:
    """A packed model open for one path, with a pool of its own."""

    def __init__(self, library: Library, packed: bytes, path: str, threads: int = 1) -> None:
        self.library = library
        self.model = PackedModel.in_memory(packed, "test", library, path)
        self.pool = library.open_pool(threads)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()
        self.library.functions.edge_qa_pool_close(self.pool)

    def logits(self, ids: Sequence[np.ndarray], types: Sequence[np.ndarray], *, budget: int = -1) -> list[np.ndarray]:
        """Start and end logits, (2, tokens), of each example; positions are 0, 1, .."""
        lengths = np.array([len(one) for one in ids], np.int32)
        joined = [np.concatenate(part).astype(np.int64) for part in (ids, types, [np.arange(n) for n in lengths])]
        both = np.full((2, lengths.sum()), np.nan, np.float32)
        error = ctypes.create_string_buffer(256)
        code = self.library.functions.edge_qa_run(
            self.model.handle,
            self.pool,
            budget,
            len(lengths),
            lengths.ctypes.data,
            *(part.ctypes.data for part in joined),
            both[0].ctypes.data,
            both[1].ctypes.data,
            error,
            len(error),
        )
        assert code == OK, error.value
        return np.split(both, np.cumsum(lengths)[:-1], axis=1)


def open_code(library: Library, packed: bytes, path: str = "portable") -> int:
    """What opening a packed model returns, its hash not looked at."""
    memory = np.zeros(len(packed) + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    memory[begin : begin + len(packed)] = np.frombuffer(packed, np.uint8)
    model, error = c_void_p(), ctypes.create_string_buffer(256)
    code = library.functions.edge_qa_model_open(
        memory[begin:].ctypes.data, len(packed), path.encode(), byref(model), error, len(error)
    )
    if model:
        library.functions.edge_qa_model_close(model)
    return code
