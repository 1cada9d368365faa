"""The shared library of the native engine of Edge QA; this module only says where it lies."""

from pathlib import Path

__all__ = ["header_folder", "library_path"]


def library_path() -> str:
    """Return the path of libedge_qa_kernels.so."""
    return str(Path(__file__).with_name("libedge_qa_kernels.so"))


def header_folder() -> str:
    """Return the folder with edge_qa_kernels.h."""
    return str(Path(__file__).parent)
