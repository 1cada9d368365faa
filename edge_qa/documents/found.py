"""What an index gives: files, and passages that were found."""

import bisect
import json
import os
from dataclasses import dataclass

from edge_qa.documents.closeness import Closeness

# Of the table `files`.
FILE_COLUMNS = "path, sha256, bytes, kind, title, characters, pages, problem"


@dataclass(frozen=True)
class IndexedFile:
    """A file as the index knows it.

    title: the document's own, or the file's name. page_starts: code point offsets into the text, one a page.
    problem: why it could not be read; its sha256 is then that of nothing.
    """

    path: str
    sha256: str
    bytes: int
    kind: str
    title: str
    characters: int
    page_starts: tuple[int, ...]
    problem: str | None = None

    def page(self, offset: int) -> int | None:
        """Return the page that an offset into the text is on, from 1; None where there are no pages."""
        return bisect.bisect_right(self.page_starts, offset) or 1 if self.page_starts else None


@dataclass(frozen=True)
class Passage:
    """A passage that was found: `text` is the file's extracted text from `start` on, code points.

    heading: the headings that it stands under. closeness: what it has in common with the words; passages are sorted
    by its `score`, which is comparable within one search only.
    """

    file: IndexedFile
    start: int
    heading: str
    text: str
    closeness: Closeness

    @property
    def end(self) -> int:
        """Where the passage ends in the text, code points."""
        return self.start + len(self.text)

    @property
    def page(self) -> int | None:
        """The page that the passage begins on, from 1; None where there are no pages."""
        return self.file.page(self.start)


def file_of_row(row: tuple[bytes, str, int, str, str, int, str, str | None]) -> IndexedFile:
    """Return the file that a row of FILE_COLUMNS says."""
    path, sha256, size, kind, title, characters, pages, problem = row
    starts = tuple(json.loads(pages))
    return IndexedFile(os.fsdecode(path), sha256, size, kind.split("/")[0], title, characters, starts, problem)
