"""What runs in a worker on another machine: a bundle is loaded once, and parts are answered."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET, MANIFEST_NAME
from edge_qa.errors import EdgeQAError
from edge_qa.evaluation.answered_rows import AnswerOptions, answered_rows
from edge_qa.evaluation.rows import Row
from edge_qa.inference.engine_choice import EngineName

if TYPE_CHECKING:
    from edge_qa.inference.engine import ComputePrecision


@dataclass(frozen=True)
class ModelOptions:
    """Which model of a bundle runs, and how; see `QuestionAnswerer.load`."""

    precision: "ComputePrecision" = "f32"
    budget: str = FULL_BUDGET
    engine: EngineName = "auto"


def bundle_files(path: Path) -> dict[str, bytes]:
    """Return every file of a bundle, to be sent to where the bundle is not. Raises BundleError."""
    bundle = Bundle.load(path)
    return {name: (bundle.path / name).read_bytes() for name in (*bundle.manifest.files, MANIFEST_NAME)}


class Worker:
    """Loads a bundle, the one at `path` if it is there and the same, and answers parts of rows."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._answerer: QuestionAnswerer | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def load(self, path: str, digest: str, sent: Callable[[], Mapping[str, bytes]], options: ModelOptions) -> None:
        """Load the bundle. sent: gives its files, where they must be had. Raises BundleError and the like."""
        folder = Path(path)
        if not _is_there(folder, digest):
            # Kept as long as the worker: the native engine maps its file.
            self._folder = tempfile.TemporaryDirectory(prefix="edge-qa-")
            folder = Path(self._folder.name)
            for name, content in sent().items():
                (folder / name).write_bytes(content)
        self._answerer = QuestionAnswerer.load(
            folder,
            threads=self._threads,
            precision=options.precision,
            budget=options.budget,
            engine=options.engine,
        )

    def answer(self, rows: Sequence[Row], options: AnswerOptions) -> tuple[bytes, int]:
        """Return a line for each row, and how many of them are errors."""
        assert self._answerer is not None
        lines = list(answered_rows(self._answerer, rows, options))
        return b"".join(one.line for one in lines), sum(one.failed for one in lines)


def _is_there(folder: Path, digest: str) -> bool:
    try:
        return Bundle.load(folder, model_later=True).manifest.digest == digest
    except EdgeQAError:
        return False
