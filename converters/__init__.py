"""Turn question-answering checkpoints and existing models into Edge QA bundles, without torch.

Public names are loaded on first use; everything below this package's root is private and may change.
"""

from typing import TYPE_CHECKING

from edge_qa.lazy_names import lazy_names

if TYPE_CHECKING:
    from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
    from converters.conversion import Conversion, convert
    from converters.importing.import_model import Found, Import, import_model
    from converters.inspection.inspect import Inspection, inspect_bundle, inspect_checkpoint
    from converters.inspection.recognition import Recognition, TensorReport
    from converters.model.compaction import CompactionReport
    from converters.verification.verify import Verification

_HOMES = {
    "Checkpoint": "converters.checkpoints.checkpoint",
    "CompactionReport": "converters.model.compaction",
    "Conversion": "converters.conversion",
    "Found": "converters.importing.import_model",
    "Import": "converters.importing.import_model",
    "Inspection": "converters.inspection.inspect",
    "Recognition": "converters.inspection.recognition",
    "TensorReport": "converters.inspection.recognition",
    "Verification": "converters.verification.verify",
    "convert": "converters.conversion",
    "import_model": "converters.importing.import_model",
    "inspect_bundle": "converters.inspection.inspect",
    "inspect_checkpoint": "converters.inspection.inspect",
    "read_checkpoint": "converters.checkpoints.checkpoint",
}

__all__ = [
    "Checkpoint",
    "CompactionReport",
    "Conversion",
    "Found",
    "Import",
    "Inspection",
    "Recognition",
    "TensorReport",
    "Verification",
    "convert",
    "import_model",
    "inspect_bundle",
    "inspect_checkpoint",
    "read_checkpoint",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
