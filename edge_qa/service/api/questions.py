"""`/v1/question-answering`, which speaks Hugging Face's task schema, and `/v1/ask` over the documents."""

from edge_qa.errors import missing_extra
from edge_qa.service.api.decoding import BodyDecoder
from edge_qa.service.api.desk import Desk
from edge_qa.service.api.types import (
    AskRequest,
    AskResponse,
    CitedAnswer,
    CitedSource,
    FoundAnswer,
    Parameters,
    QuestionAnsweringRequest,
    QuestionContext,
)
from edge_qa.service.network.failures import RequestError
from edge_qa.service.workers.messages import Answers, Ask, Cited, CitedAnswers, Found, How, Questions

try:
    import msgspec
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

_questions = BodyDecoder(QuestionAnsweringRequest)
_ask = BodyDecoder(AskRequest)
_DEFAULTS = Parameters()


def question_routes(desk: Desk) -> list[Route]:
    """Return the routes."""

    async def question_answering(request: Request) -> Response:
        asked = _questions.decode(await json_body(request))
        several = isinstance(asked.inputs, list)
        inputs: list[QuestionContext] = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
        parameters = asked.parameters or _DEFAULTS
        how = how_of(parameters)
        message = Questions([(one.question, one.context) for one in inputs], how, desk.deadline())
        result, headers = await desk.answer(request, message)
        assert isinstance(result, Answers)
        # As the pipeline of transformers does: one answer, or a list where more were asked for.
        found = [
            [_found(answer) for answer in answers] if how.top_k > 1 else _found(answers[0])
            for answers in result.answers
        ]
        return json_response(found if several else found[0], headers)

    async def ask(request: Request) -> Response:
        asked = _ask.decode(await json_body(request))
        if desk.loaded().document_files is None:
            raise RequestError(404, "documents", "this service has no documents")
        message = Ask(
            asked.question,
            asked.top_k,
            asked.passages,
            asked.max_answer_len,
            asked.no_answer_threshold,
            asked.min_confidence,
            asked.max_question_len,
            desk.deadline(),
        )
        result, headers = await desk.answer(request, message)
        assert isinstance(result, CitedAnswers)
        return json_response(AskResponse([_cited(answer) for answer in result.answers]), headers)

    return [
        Route("/v1/question-answering", question_answering, methods=["POST"]),
        Route("/v1/ask", ask, methods=["POST"]),
    ]


async def json_body(request: Request, *, or_unsaid: bool = False) -> bytes:
    """Return the body of a request that says it is JSON. Raises RequestError (415) otherwise.

    A page of another site can send what claims to be a form or text without asking first; JSON it cannot.
    or_unsaid: take what does not say what it is, as Triton's client does not; browsers tell of other sites otherwise.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (or_unsaid and not kind):
        raise RequestError(415, "content-type", "send JSON, and the header Content-Type: application/json")
    body: bytes = await request.body()
    return body


def json_response(value: object, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(value), headers=headers, media_type="application/json")


def how_of(parameters: Parameters) -> How:
    """Return what a worker is told of the parameters of a request."""
    threshold = parameters.no_answer_threshold
    if threshold is None and parameters.handle_impossible_answer:
        threshold = 0.0
    return How(
        top_k=parameters.top_k or 1,
        max_answer_len=parameters.max_answer_len,
        no_answer_threshold=threshold,
        min_confidence=parameters.min_confidence,
        max_question_len=parameters.max_question_len,
        max_seq_len=parameters.max_seq_len,
        doc_stride=parameters.doc_stride,
        align_to_words=parameters.align_to_words or False,
        within=parameters.within or "block",
    )


def _found(answer: Found) -> FoundAnswer:
    return FoundAnswer(
        answer.text, answer.score, answer.start, answer.end, answer.confidence, answer.question_truncated
    )


def _cited(answer: Cited) -> CitedAnswer:
    source = None if answer.source is None else msgspec.convert(answer.source, CitedSource)
    return CitedAnswer(
        answer.text,
        answer.score,
        answer.start,
        answer.end,
        answer.question_truncated,
        answer.rank,
        answer.confidence,
        source,
    )
