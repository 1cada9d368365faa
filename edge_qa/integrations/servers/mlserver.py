"""A model of MLServer that takes text (the extra `mlserver`); `edge-qa export --for mlserver` writes its settings."""

import asyncio
import logging

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError, missing_extra
from edge_qa.integrations.servers.columns import Column, answer_columns

try:
    from mlserver import MLModel
    from mlserver.codecs import NumpyCodec, StringCodec
    from mlserver.errors import InferenceError as ServerError
    from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
    from mlserver.utils import get_model_uri
except ModuleNotFoundError as error:
    raise missing_extra(error, "mlserver") from None

_logger = logging.getLogger(__name__)


class AnswerModel(MLModel):
    """Takes `question` and `context`; gives `answer`, `score`, `start`, `end`, and `confidence` if there is one."""

    _answerer: QuestionAnswerer

    async def load(self) -> bool:
        """Load the bundle that the settings name. Raises BundleError."""
        uri = await get_model_uri(self.settings)
        self._answerer = await asyncio.to_thread(QuestionAnswerer.load, uri)
        return True

    async def unload(self) -> bool:
        """Free the model."""
        self._answerer.close()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the questions of a request; what cannot be used is an error of the client, 400."""
        try:
            texts = {tensor.name: StringCodec.decode_input(tensor) for tensor in payload.inputs}
            if set(texts) != {"question", "context"}:
                raise InputError(f"got the inputs {', '.join(texts) or 'none'}", wanted="question and context")
            columns = await asyncio.to_thread(answer_columns, self._answerer, texts["question"], texts["context"])
        except InputError as error:
            raise ServerError(str(error)) from None
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[_output(name, column) for name, column in columns.items()],
        )


def _output(name: str, column: Column) -> ResponseOutput:
    values = column.tolist()
    output = StringCodec.encode_output(name, values) if name == "answer" else NumpyCodec.encode_output(name, column)
    # MLServer's codecs add an axis, which the model's metadata do not have.
    output.shape = list(column.shape)
    return output
