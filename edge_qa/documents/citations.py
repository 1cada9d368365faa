"""Does a citation still hold? The file is opened again, and its text read as it was for the index."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_qa.documents.index import DocumentIndex
from edge_qa.documents.readers.kinds import TEXT, kind_of, read
from edge_qa.errors import EdgeQAError, InputError

Verdict = Literal["holds", "moved", "gone"]


@dataclass(frozen=True)
class CitationCheck:
    """What became of a citation.

    verdict: "holds" if the file is the same, byte for byte, and the text stands where the citation says; "moved" if
    the file changed and the sentence with the answer is still there, at start:end now; "gone" otherwise.
    """

    verdict: Verdict
    path: str
    text: str
    start: int | None
    end: int | None
    reason: str

    @property
    def holds(self) -> bool:
        """Whether the file still says it, where it did or elsewhere."""
        return self.verdict != "gone"


def since_indexed(path: str, sha256: str) -> str | None:
    """Return what became of a file since it was indexed, or None where it is the same. Only its bytes are looked at."""
    try:
        with open(path, "rb") as file:
            return None if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else "has changed since"
    except OSError:
        return "cannot be read any more" if os.path.lexists(path) else "is not there any more"


def verify_citation(index: DocumentIndex, citation: dict[str, Any]) -> CitationCheck:
    """Return whether a citation holds.

    citation: an answer as JSON, {"text": ..., "source": {"path", "sha256", "start", "end", "sentence", ...}}.
    Only files that the index holds are opened. Raises InputError for what is no citation, or one without a source.
    """
    text, path, sha256, start, sentence, offset = _parts(citation)

    def gone(reason: str) -> CitationCheck:
        return CitationCheck("gone", path, text, None, None, reason)

    if index.file(path) is None:
        return gone("the index does not hold this file")
    options = index.reading_options()
    try:
        if not os.path.isfile(path):
            return gone("the file is not there any more")
        data = Path(path).read_bytes()
        extracted = read(data, kind_of(path) or TEXT, latin_1=options.latin_1).text
    except OSError as error:
        return gone(f"the file cannot be read ({error.strerror})")
    except EdgeQAError as error:
        return gone(f"the file cannot be read ({error})")
    same = hashlib.sha256(data).hexdigest() == sha256
    said = extracted[start - offset : start - offset + len(sentence)] if start >= offset else ""
    if same and said == sentence and extracted[start : start + len(text)] == text:
        return CitationCheck("holds", path, text, start, start + len(text), "the file is unchanged")
    # White space may differ: a line that is wrapped anew says the same.
    words = [re.escape(word) for word in sentence.split()]
    places = [match.start() for match in re.finditer(r"\s+".join(words), extracted)]
    if not places:
        return gone("the file changed, and no longer says it" if not same else "the file never said it")
    place = min(places, key=lambda found: abs(found - start + offset))
    # The answer in the sentence that was found, its white space as it is there now.
    before = [re.escape(word) for word in sentence[:offset].split()]
    inside = re.compile(r"\s*".join(before) + r"\s*(" + r"\s+".join(re.escape(word) for word in text.split()) + ")")
    match = inside.match(extracted, place)
    if match is None:
        return gone("the file changed, and no longer says it")
    reason = "the file changed, and still says it" if not same else "the offsets were wrong, the text is there"
    return CitationCheck("moved", path, match[1], match.start(1), match.end(1), reason)


def _parts(citation: dict[str, Any]) -> tuple[str, str, str, int, str, int]:
    source = citation.get("source") if isinstance(citation, dict) else None
    if source is None:
        raise InputError("has no source", where="citation", wanted="an answer of `ask` with its source, as JSON")
    wrong = InputError("has values of another kind", where="citation", wanted="an answer of `ask`, as JSON")
    if not isinstance(source, dict):
        raise wrong
    try:
        text, sentence, begin = citation["text"], source["sentence"], source["sentence_start"]
        path, sha256, start = source["path"], source["sha256"], source["start"]
    except KeyError as error:
        raise InputError(f"lacks {error}", where="citation", wanted="an answer of `ask`, as JSON") from None
    numbers = all(type(one) is int for one in (start, begin))
    if not numbers or not all(isinstance(one, str) for one in (text, sentence, path, sha256)) or not text.strip():
        raise wrong
    offset = start - begin
    if start < 0 or offset < 0 or sentence[offset : offset + len(text)] != text:
        raise InputError("its sentence does not hold the answer", where="citation", wanted="an answer of `ask`")
    return text, path, sha256, start, sentence, offset
