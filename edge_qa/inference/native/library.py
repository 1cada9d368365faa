"""The C library of edge-qa-kernels, found, loaded and declared once a process."""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from edge_qa.errors import ResourceError

# The interface this module was written for, EDGE_QA_KERNELS_VERSION.
VERSION = 1
# Caps the instruction set, by the names of the paths.
CAP_VARIABLE = "EDGE_QA_ISA"
PATHS = ("avx2", "avx_vnni", "avx512_vnni", "amx")  # smallest first
TEST_PATHS = ("portable", "avx_vnni_evex", "amx_software")
STAGES = ("embeddings", "projections", "attention", "attention output", "norms", "up", "down", "logits")

OK, BAD_FILE, BAD_INPUT, NO_PATH, NO_MEMORY = 0, -1, -2, -3, -4


class Description(ctypes.Structure):
    """What an open model takes; edge_qa_description."""

    _fields_ = [
        (name, c_int32) for name in ("hidden", "layers", "vocabulary", "token_types", "longest_input", "budgets")
    ]


class Library:
    """The functions of one shared library. Every call leaves the interpreter's lock."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Load it. Raises OSError if it cannot be loaded, ResourceError for one of another version."""
        library = ctypes.CDLL(os.fspath(path))
        version = library.edge_qa_kernels_version()
        if version != VERSION:
            raise ResourceError(
                f"edge-qa-kernels has interface {version}", wanted=VERSION, remedy="install the version beside edge-qa"
            )
        text: list[Any] = [c_char_p, c_size_t]
        library.edge_qa_best_path.restype = c_char_p
        library.edge_qa_best_path.argtypes = [c_char_p]
        library.edge_qa_path_runs.argtypes = [c_char_p]
        library.edge_qa_model_open.argtypes = [c_void_p, c_size_t, c_char_p, POINTER(c_void_p), *text]
        library.edge_qa_model_close.argtypes = [c_void_p]
        library.edge_qa_model_close.restype = None
        library.edge_qa_model_describe.argtypes = [c_void_p, POINTER(Description)]
        library.edge_qa_model_describe.restype = None
        library.edge_qa_pool_open.argtypes = [c_int32, POINTER(c_void_p), *text]
        library.edge_qa_pool_close.argtypes = [c_void_p]
        library.edge_qa_pool_close.restype = None
        library.edge_qa_run.argtypes = [c_void_p, c_void_p, c_int32, c_int32, *_pointers(6), *text]
        library.edge_qa_pool_profile.argtypes = [c_void_p, c_int32, POINTER(c_uint64)]
        library.edge_qa_pool_profile.restype = None
        library.edge_qa_test_product.argtypes = [c_char_p, c_int32, c_int32, *_pointers(3), c_int32, c_void_p]
        self.functions = library

    def best_path(self) -> str | None:
        """Return the best path of this CPU at or below the cap in EDGE_QA_ISA; None where there is none."""
        cap = os.environ.get(CAP_VARIABLE, "")
        path: bytes = self.functions.edge_qa_best_path(cap.encode())
        return path.decode() or None

    def runs(self, path: str) -> bool:
        """Return whether this CPU can run a path."""
        return bool(self.functions.edge_qa_path_runs(path.encode()))

    def open_pool(self, threads: int) -> c_void_p:
        """Return a new pool. Raises ResourceError."""
        pool, error = c_void_p(), ctypes.create_string_buffer(256)
        if self.functions.edge_qa_pool_open(threads, byref(pool), error, len(error)) != OK:
            raise ResourceError(f"no pool of {threads} threads: {error.value.decode()}")
        return pool


def _pointers(count: int) -> list[Any]:
    return [c_void_p] * count


@cache
def this_library() -> Library | None:
    """Return the installed library; None where edge-qa-kernels is not installed or cannot be loaded here."""
    try:
        import edge_qa_kernels
    except ModuleNotFoundError:
        return None
    path = Path(edge_qa_kernels.library_path())
    try:
        return Library(path)
    except OSError:  # built for another system, such as one with an older C library
        return None
