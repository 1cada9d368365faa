"""An MCP server over an index of documents: tools that return spans with their place, and never a made-up sentence.

The Model Context Protocol (https://modelcontextprotocol.io) is how assistants call tools. The server speaks it over
standard input and output, through the official SDK (the extra `mcp`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

from edge_qa import __version__
from edge_qa.answerer import QuestionAnswerer
from edge_qa.documents.cited_answers import CitedAnswer
from edge_qa.documents.found import Passage
from edge_qa.documents.index import DocumentIndex
from edge_qa.errors import EdgeQAError, missing_extra

try:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
    from pydantic import Field
except ModuleNotFoundError as error:
    raise missing_extra(error, "mcp") from None

_INSTRUCTIONS = (
    "Searches one collection of local documents and answers questions from it. Every answer is a span of a document, "
    "with its path, page and offsets; nothing is generated. Use `ask` for a fact, `search` to read passages. "
    "An empty list of answers means that the documents do not say it."
)
_MOST = 50  # passages or answers of one call: an assistant has to read them
Limit = Annotated[int, Field(ge=1, le=_MOST)]


@dataclass(frozen=True)
class FoundPassage:
    """A passage: text[start:end] of a document, code points; page from 1, null where there are no pages."""

    path: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    score: float
    text: str


@dataclass(frozen=True)
class FoundPassages:
    """The passages that fit some words best, best first."""

    passages: list[FoundPassage]


@dataclass(frozen=True)
class FoundAnswer:
    """A span of a document: text[start:end], code points, and the sentence around, which begins at sentence_start.

    sha256: of the file when it was indexed; `edge-qa verify-citation` checks whether it still says this.
    confidence: the probability that the answer is right, 0 to 1; null where the bundle has none. score: relative to
    the passage that the answer is from. rank: what answers are sorted by.
    """

    text: str
    confidence: float | None
    score: float
    rank: float
    path: str
    sha256: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    sentence: str
    sentence_start: int


@dataclass(frozen=True)
class FoundAnswers:
    """Answers, best first; none where the documents do not answer.

    none_confidence: where there are none, the probability that the documents hold no answer; null where the bundle
    cannot say.
    """

    answers: list[FoundAnswer]
    none_confidence: float | None = None


def document_server(index: DocumentIndex, answerer: QuestionAnswerer) -> MCPServer[Any]:
    """Return a server with the tools `search` and `ask`; its `run("stdio")` serves until standard input ends."""
    server: MCPServer[Any] = MCPServer(
        "edge-qa", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING", subscriptions=False
    )
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

    def search(words: str, limit: Limit = 5) -> FoundPassages:
        return FoundPassages([_passage(one) for one in index.search(words, limit=limit)])

    def ask(
        question: str,
        top_k: Limit = 3,
        passages: Limit | None = None,
        min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None,
    ) -> FoundAnswers:
        found = answerer.ask(index, question, top_k=top_k, passages=passages, min_confidence=min_confidence)
        answers = [_answer(one) for one in found if one.source is not None]
        return FoundAnswers(answers, None if answers else found[0].confidence)

    server.add_tool(
        _explained(search),
        title="Search documents",
        description="Find the passages of the documents that fit some words or a question best, with their place.",
        annotations=reads,
    )
    server.add_tool(
        _explained(ask),
        title="Ask documents",
        description=(
            "Answer a question with spans of the documents: text, confidence, path, page, offsets and the sentence "
            "around. passages: how many are read (10). min_confidence: leave out less sure answers, 0 to 1."
        ),
        annotations=reads,
    )
    return server


def _explained(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The same tool; errors of the project reach the caller with their words, others do not."""

    @wraps(tool)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return tool(*arguments, **options)
        except EdgeQAError as error:
            raise ToolError(str(error)) from error

    return called


def _passage(passage: Passage) -> FoundPassage:
    file = passage.file
    return FoundPassage(
        path=_utf8(file.path),
        title=file.title,
        heading=passage.heading,
        page=passage.page,
        start=passage.start,
        end=passage.end,
        score=passage.closeness.score,
        text=passage.text,
    )


def _answer(answer: CitedAnswer) -> FoundAnswer:
    source = answer.source
    assert source is not None
    assert answer.rank is not None
    return FoundAnswer(
        text=answer.text,
        confidence=answer.confidence,
        score=answer.score,
        rank=answer.rank,
        path=_utf8(source.path),
        sha256=source.sha256,
        title=source.title,
        heading=source.heading,
        page=source.page,
        start=source.start,
        end=source.end,
        sentence=source.sentence,
        sentence_start=source.sentence_start,
    )


def _utf8(path: str) -> str:
    """A file name that is not UTF-8 holds lone surrogates, which JSON does not take."""
    return path.encode("utf-8", "backslashreplace").decode()
