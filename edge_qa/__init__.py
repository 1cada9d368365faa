"""Extractive question answering on CPUs: text in, answers with offsets out.

Public names are loaded on first use: `import edge_qa` alone costs next to nothing.
"""

from typing import TYPE_CHECKING

from edge_qa.lazy_names import lazy_names

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer
    from edge_qa.answers import Answer
    from edge_qa.bundle.bundle import Bundle
    from edge_qa.compat.pipeline import pipeline
    from edge_qa.documents.citations import verify_citation
    from edge_qa.documents.cited_answers import CitedAnswer
    from edge_qa.documents.index import DocumentIndex
    from edge_qa.errors import (
        BundleError,
        CalibrationError,
        CheckpointError,
        EdgeQAError,
        InferenceError,
        InputError,
        MissingExtraError,
        ResourceError,
        VerificationError,
    )
    from edge_qa.evaluation.dataset import read_dataset
    from edge_qa.evaluation.evaluate import evaluate
    from edge_qa.evaluation.squad_metric import score

__version__ = "0.1.0"

_ERRORS = "edge_qa.errors"
_HOMES = {
    "Answer": "edge_qa.answers",
    "Bundle": "edge_qa.bundle.bundle",
    "BundleError": _ERRORS,
    "CalibrationError": _ERRORS,
    "CheckpointError": _ERRORS,
    "CitedAnswer": "edge_qa.documents.cited_answers",
    "DocumentIndex": "edge_qa.documents.index",
    "EdgeQAError": _ERRORS,
    "InferenceError": _ERRORS,
    "InputError": _ERRORS,
    "MissingExtraError": _ERRORS,
    "QuestionAnswerer": "edge_qa.answerer",
    "ResourceError": _ERRORS,
    "VerificationError": _ERRORS,
    "evaluate": "edge_qa.evaluation.evaluate",
    "pipeline": "edge_qa.compat.pipeline",
    "read_dataset": "edge_qa.evaluation.dataset",
    "score": "edge_qa.evaluation.squad_metric",
    "verify_citation": "edge_qa.documents.citations",
}

__all__ = [
    "Answer",
    "Bundle",
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "CitedAnswer",
    "DocumentIndex",
    "EdgeQAError",
    "InferenceError",
    "InputError",
    "MissingExtraError",
    "QuestionAnswerer",
    "ResourceError",
    "VerificationError",
    "__version__",
    "evaluate",
    "pipeline",
    "read_dataset",
    "score",
    "verify_citation",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
