"""How long work says where it stands: one protocol for everything that takes more than a second."""

from typing import Protocol


class Progress(Protocol):
    """Told at the start of a stage, and as its parts are done.

    stage: a word or two, such as "evaluate". done, total: parts of it; 0 and 0 where it has only begun, or
    where nobody knows how many there are.
    """

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Take note; called in the thread that works, so it should be quick."""


def no_progress(stage: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody: the default of whatever takes a Progress."""
