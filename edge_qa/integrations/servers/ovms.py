"""The Python node of OpenVINO Model Server: text in, answers out. `edge-qa export --for ovms` writes what loads it.

`pyovms` is inside the server, and nowhere else.
https://docs.openvino.ai/2026/model-server/ovms_docs_python_support_reference.html
"""

from pathlib import Path
from typing import Any

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError, ResourceError
from edge_qa.integrations.servers.columns import answer_columns, packed_texts, unpacked_texts

try:
    from pyovms import Tensor
except ModuleNotFoundError as error:
    raise ResourceError(f"{error.name} is part of OpenVINO Model Server", remedy="import this from inside it") from None


class OvmsPythonModel:
    """Takes `question` and `context`; gives `answer`, `score`, `start`, `end`, and `confidence` if there is one."""

    def initialize(self, kwargs: dict[str, Any]) -> None:
        """Load the bundle beside the node's file. Raises BundleError."""
        self._answerer = QuestionAnswerer.load(Path(kwargs["base_path"]) / "bundle")

    def execute(self, inputs: list[Any]) -> list[Any]:
        """Answer the questions of a request. Raises InputError, which the server sends to the client."""
        texts = {tensor.name: unpacked_texts(bytes(tensor), tensor.name) for tensor in inputs}
        if set(texts) != {"question", "context"}:
            raise InputError(f"got the inputs {', '.join(texts) or 'none'}", wanted="question and context")
        columns = answer_columns(self._answerer, texts["question"], texts["context"])
        return [
            (
                Tensor(name, packed_texts(column), shape=list(column.shape), datatype="BYTES")
                if name == "answer"
                else Tensor(name, column)
            )
            for name, column in columns.items()
        ]

    def finalize(self) -> None:
        """Free the model."""
        self._answerer.close()
