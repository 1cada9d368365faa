"""What a worker is told and what it says. Times are those of the monotonic clock, which all processes share."""

from typing import Literal

from edge_qa.errors import missing_extra
from edge_qa.text.blocks import Within

try:
    from msgspec import Struct
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None


class Start(Struct, frozen=True):
    """The first message to a worker: what to load. data_bytes: the most data that it may hold."""

    bundle: str
    documents: str | None
    engine: Literal["auto", "native", "openvino"]
    precision: Literal["f32", "bf16"]
    budget: str
    threads: int | None
    cache: str | None
    batch_tokens: int
    data_bytes: int | None


class How(Struct, frozen=True):
    """How questions are answered; None for what the bundle says. See `QuestionAnswerer.answer` and `.windows`."""

    top_k: int = 1
    max_answer_len: int | None = None
    no_answer_threshold: float | None = None
    min_confidence: float | None = None
    max_question_len: int | None = None
    max_seq_len: int | None = None
    doc_stride: int | None = None
    align_to_words: bool = False
    within: Within = "block"


class Questions(Struct, frozen=True, tag=True):
    """One request: questions with their texts. deadline: when nobody waits for it any more."""

    pairs: list[tuple[str, str]]
    how: How
    deadline: float


class Ask(Struct, frozen=True, tag=True):
    """One request: a question to the documents."""

    question: str
    top_k: int
    passages: int | None
    max_answer_len: int | None
    no_answer_threshold: float | None
    min_confidence: float | None
    max_question_len: int | None
    deadline: float


class Batch(Struct, frozen=True):
    """Requests that run together."""

    number: int
    requests: list[Questions | Ask]


class Loaded(Struct, frozen=True, tag=True):
    """A worker is ready. document_files: how many the index holds, None without one."""

    digest: str
    model: str
    engine: str
    precision: str
    threads: int
    longest_window: int
    has_confidence: bool
    document_files: int | None


class NotLoaded(Struct, frozen=True, tag=True):
    """A worker cannot load what it was told; the fields are those of an `EdgeQAError`, kind is its class."""

    kind: str
    got: str
    where: str | None
    wanted: str | None
    remedy: str | None


class Found(Struct, frozen=True):
    """One answer: the fields of `Answer`."""

    text: str
    score: float
    start: int
    end: int
    question_truncated: bool
    confidence: float | None


class Cited(Struct, frozen=True):
    """One answer from documents: the fields of `CitedAnswer`; those of its source are JSON."""

    text: str
    score: float
    start: int
    end: int
    question_truncated: bool
    rank: float | None
    confidence: float | None
    source: dict[str, str | int | list[int] | None] | None


# late: the deadline was over. memory: none was left. unusable: the text or an option, at `item` of the request.
ProblemKind = Literal["unusable", "late", "memory", "documents", "internal"]


class Problem(Struct, frozen=True, tag=True):
    """Why a request has no answers."""

    kind: ProblemKind
    message: str
    item: int | None = None


class Answers(Struct, frozen=True, tag=True):
    """The answers to each question of a request, best first."""

    answers: list[list[Found]]


class CitedAnswers(Struct, frozen=True, tag=True):
    """The answers from documents, best first."""

    answers: list[Cited]


Result = Answers | CitedAnswers | Problem


class Done(Struct, frozen=True, tag=True):
    """What became of a batch, request by request, and what it took (seconds, tokens of all windows)."""

    number: int
    results: list[Result]
    tokenizing_s: float
    inference_s: float
    tokens: int
    windows: int


FromWorker = Loaded | NotLoaded | Done
