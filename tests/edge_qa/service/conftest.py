"""Services that several tests ask; each takes a second to start."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.service import SMALL_BUNDLE, Service, running

# Without the extra these modules cannot even be imported; `test_extra.py` says so.
if any(find_spec(name) is None for name in ("starlette", "uvicorn", "prometheus_client", "msgspec")):
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_extra.py"]

TEXTS = {
    "lamp.txt": "The lighthouse was lit in 1871. Its keeper was Ada Lovelace.",
    "mill.md": "# The mill\n\nThe mill by the river was built by John Carter in 1902 for the town of Selby.",
}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two documents."""
    from edge_qa.documents.index import DocumentIndex

    folder = tmp_path_factory.mktemp("library")
    (folder / "texts").mkdir()
    for name, text in TEXTS.items():
        (folder / "texts" / name).write_text(text)
    with DocumentIndex.build([folder / "texts"], folder / "library.db"):
        return folder / "library.db"


@pytest.fixture(scope="session")
def service(library: Path) -> Iterator[Service]:
    """A service with documents that gives a request little time to arrive."""
    arguments = ("--documents", library, "--engine", "openvino", "--receive-timeout", 2, "--max-body", 200_000)
    with running(SMALL_BUNDLE, *arguments) as one:
        yield one
