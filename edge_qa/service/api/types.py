"""What may be asked and what is answered, as types: requests are checked by them, and `/openapi.json` is made of them.

Names of fields are those of Hugging Face's question-answering task where it has one.
"""

from typing import Annotated, Literal

from edge_qa.errors import missing_extra

try:
    from msgspec import Meta, Struct
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

MOST_INPUTS = 64
MOST_ANSWERS = 100
MOST_PASSAGES = 100
# The longest input that a model of these families takes; shorter ones refuse what is too much for them.
_MOST_TOKENS = 8192

# With a character that can be seen.
Text = Annotated[str, Meta(min_length=1, pattern=r"\S", description="Text that is not blank.")]
TopK = Annotated[int, Meta(ge=1, le=MOST_ANSWERS, description="How many answers, best first.")]
Tokens = Annotated[int, Meta(ge=1, le=_MOST_TOKENS, description="Tokens.")]
Share = Annotated[float, Meta(ge=0, le=1)]
Threshold = Annotated[float, Meta(description='Answer "none" where its logit exceeds the best span\'s by more.')]


class QuestionContext(Struct, frozen=True, forbid_unknown_fields=True):
    """A question, and the text that it is asked of."""

    question: Text
    context: Text


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How questions are answered; what is null or not there is as the bundle says.

    handle_impossible_answer: answer "none" where that is likelier, as `no_answer_threshold` 0.
    within: "block" for an answer that crosses no paragraph, list item, table row or heading.
    """

    top_k: TopK | None = None
    max_answer_len: Tokens | None = None
    max_question_len: Tokens | None = None
    max_seq_len: Tokens | None = None
    doc_stride: Annotated[int, Meta(ge=0, le=_MOST_TOKENS)] | None = None
    align_to_words: bool | None = None
    handle_impossible_answer: bool | None = None
    no_answer_threshold: Threshold | None = None
    min_confidence: Share | None = None
    within: Literal["block", "text"] | None = None


class QuestionAnsweringRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One question with its text, or several."""

    inputs: QuestionContext | Annotated[list[QuestionContext], Meta(min_length=1, max_length=MOST_INPUTS)]
    parameters: Parameters | None = None


class FoundAnswer(Struct, frozen=True):
    """An answer: `context[start:end]`, in code points. "None" has an empty text and start == end == 0.

    score: probability, relative to everything that was read. confidence: the probability that the answer is right;
    null where the bundle was not fitted for it. question_truncated: the end of the question was not read.
    """

    answer: str
    score: Share
    start: Annotated[int, Meta(ge=0)]
    end: Annotated[int, Meta(ge=0)]
    confidence: Share | None
    question_truncated: bool


class AskRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A question to the documents of the service. passages: how many are read; 10 if null."""

    question: Text
    top_k: TopK = 1
    passages: Annotated[int, Meta(ge=1, le=MOST_PASSAGES)] | None = None
    max_answer_len: Tokens | None = None
    max_question_len: Tokens | None = None
    no_answer_threshold: Threshold | None = None
    min_confidence: Share | None = None


class CitedSource(Struct, frozen=True):
    """Where an answer stands; see `edge_qa.documents.cited_answers.Source`. Offsets are code points."""

    path: str
    sha256: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    passage: Annotated[list[int], Meta(min_length=2, max_length=2)]
    passage_start: int
    passage_end: int
    sentence: str
    sentence_start: int


class CitedAnswer(Struct, frozen=True):
    """An answer from documents. source and rank are null for "none"; answers are sorted by rank.

    confidence: the probability that the answer is right; null where the bundle was not fitted for documents.
    """

    answer: str
    score: Share
    start: Annotated[int, Meta(ge=0)]
    end: Annotated[int, Meta(ge=0)]
    question_truncated: bool
    rank: float | None
    confidence: Share | None
    source: CitedSource | None


class AskResponse(Struct, frozen=True):
    """The answers, best first."""

    answers: list[CitedAnswer]


class Health(Struct, frozen=True):
    """Whether requests are answered: "ok", or why not."""

    status: Literal["ok", "loading", "no worker", "ending"]


class Info(Struct, frozen=True):
    """What runs. digest: of the bundle. document_files: null where there are no documents."""

    name: str
    version: str
    digest: str
    family: str
    engine: str
    precision: str
    threads: int
    workers: int
    longest_window: int
    has_confidence: bool
    document_files: int | None
    max_inputs: int
    max_body_bytes: int
    max_batch_tokens: int
    request_timeout_s: float
