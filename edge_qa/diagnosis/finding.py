"""One thing that the doctor saw or knows."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["fact", "note", "problem"]
Origin = Literal["this machine", "measured here", "measured elsewhere", "documented", "expected"]


@dataclass(frozen=True)
class Finding:
    """A statement, where it comes from, and what to do about it.

    level: a note costs speed or convenience; with a problem, answers would be wrong or fail.
    """

    topic: str
    level: Level
    text: str
    origin: Origin
    remedy: str | None = None
