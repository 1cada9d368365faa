"""The errors that Edge QA raises: one tree, one clear line each.

A message says where the problem is, what was got, what was wanted, and the remedy.
"""

__all__ = [
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "EdgeQAError",
    "InferenceError",
    "InputError",
    "ResourceError",
    "VerificationError",
    "missing_extra",
]


class EdgeQAError(Exception):
    """Root of every error raised on purpose by Edge QA."""


class VerificationError(EdgeQAError):
    """A converted model does not compute what its checkpoint computes; nothing was written."""


class CalibrationError(EdgeQAError):
    """A calibration ended without a model that meets what was asked for; nothing was written."""


class BundleError(EdgeQAError):
    """A bundle is missing, damaged, of another format, or cannot be written."""


class CheckpointError(EdgeQAError):
    """A checkpoint is missing, incomplete, inconsistent, or of an unsupported family."""


class InputError(EdgeQAError):
    """A question, context, data set or option value cannot be used."""


class InferenceError(EdgeQAError):
    """The model ran and gave something that cannot be an answer."""


class ResourceError(EdgeQAError):
    """The machine lacks something: disk space, memory, an instruction set, an installed extra."""


def missing_extra(error: ModuleNotFoundError, extra: str) -> ResourceError:
    """Return the error to raise where `error.name`, which belongs to `extra`, cannot be imported."""
    return ResourceError(
        f"{error.name} is not installed, and this needs it: pip install '.[{extra}]' in the folder of Edge QA's source"
    )
