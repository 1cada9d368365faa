"""The library under test, and its paths."""

import pytest

from edge_qa.inference.native.library import Library
from tests.support.kernels import ALL_PATHS, library_path


@pytest.fixture(scope="session")
def library() -> Library:
    """The C library, built from kernels/ where a compiler is."""
    return Library(library_path())


@pytest.fixture(params=ALL_PATHS)
def path(request: pytest.FixtureRequest, library: Library) -> str:
    """Each path that this CPU can run."""
    if not library.runs(request.param):
        pytest.skip(f"this CPU cannot run {request.param}")
    return request.param


@pytest.fixture(scope="session")
def paths(library: Library) -> list[str]:
    """All paths that this CPU can run."""
    return [path for path in ALL_PATHS if library.runs(path)]
