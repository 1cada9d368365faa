"""The model of Triton's Python backend: text in, answers out. `edge-qa export --for triton` writes what loads it.

`triton_python_backend_utils` is inside the server, and nowhere else.
https://github.com/triton-inference-server/python_backend
"""

from pathlib import Path
from typing import Any

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError, ResourceError
from edge_qa.integrations.servers.columns import answer_columns

try:
    import triton_python_backend_utils as triton
except ModuleNotFoundError as error:
    raise ResourceError(f"{error.name} is part of Triton", remedy="import this from inside it") from None


class TritonPythonModel:
    """Takes `question` and `context`; gives `answer`, `score`, `start`, `end`, and `confidence` if there is one."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the bundle in the folder of the model's version. Raises BundleError."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self._answerer = QuestionAnswerer.load(folder / "bundle")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer some requests; one that cannot be used gets an error, and the others their answers."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        try:
            texts = {}
            for name in ("question", "context"):
                tensor = triton.get_input_tensor_by_name(request, name)
                if tensor is None:
                    raise InputError("is missing", where=name)
                texts[name] = tensor.as_numpy().ravel().tolist()
            columns = answer_columns(self._answerer, texts["question"], texts["context"])
        except InputError as error:
            problem = triton.TritonError(str(error), triton.TritonError.INVALID_ARG)
            return triton.InferenceResponse(output_tensors=[], error=problem)
        return triton.InferenceResponse(
            output_tensors=[triton.Tensor(name, column) for name, column in columns.items()]
        )

    def finalize(self) -> None:
        """Free the model."""
        self._answerer.close()
