"""A process that must ask the file system, which root does not."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # of <linux/capability.h>, for 64 capabilities
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def without_override() -> Iterator[None]:
    """Let the permissions of files hold for this thread, and those that it starts, whoever runs the tests."""
    if os.geteuid():
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 of them
    if library.capget(header, held):
        pytest.skip("the capabilities of root cannot be read here")
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~_OVERRIDES
    if library.capset(header, fewer):
        pytest.skip("the capabilities of root cannot be dropped here")
    try:
        yield
    finally:
        assert library.capset(header, held) == 0
