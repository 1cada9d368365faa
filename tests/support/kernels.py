"""Building the C library for tests, and running packed models with it."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from ctypes import byref, c_void_p
from pathlib import Path

import numpy as np
import pytest

from edge_qa.inference.native.library import OK, PATHS, TEST_PATHS, Library
from edge_qa.inference.native.packed_model import PackedModel

SOURCE = Path(__file__).resolve().parents[2] / "kernels"
# Set to test a library that is already built, such as one with sanitizers.
LIBRARY_VARIABLE = "EDGE_QA_KERNELS_TEST_LIBRARY"
ALL_PATHS = (*PATHS, *TEST_PATHS)


def build(name: str = "test", *options: str) -> Path:
    """Build the library in kernels/build/NAME, or what changed of it; skip the test where there is no compiler."""
    if os.uname().machine != "x86_64":
        pytest.skip("the kernels are for x86-64")
    cmake = shutil.which("cmake")
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if cmake is None or compiler is None:
        pytest.skip("no C++ compiler, or no cmake")
    folder = SOURCE / "build" / name
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
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
