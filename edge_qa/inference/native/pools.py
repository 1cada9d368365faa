"""The threads of the native engine: one pool for each number of threads, shared by all models of the process.

Questions that are asked at once take turns on a pool, each with all of its threads; more threads than the process may
use would only get in each other's way.
"""

import os
import threading
from ctypes import c_void_p

from edge_qa.inference.native.library import Library

_pools: dict[int, c_void_p] = {}
_lock = threading.Lock()


def pool_of(library: Library, threads: int) -> c_void_p:
    """Return the pool of `threads` threads; made at its first use, and kept. Raises ResourceError."""
    with _lock:
        if threads not in _pools:
            _pools[threads] = library.open_pool(threads)
        return _pools[threads]


def _after_fork() -> None:
    """In a forked child: the threads are not there, and a lock may be held by one; neither is touched again."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
