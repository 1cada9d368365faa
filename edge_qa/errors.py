"""The errors that Edge QA raises: one tree, one clear line each.

An error says where the problem is, what was got, what was wanted, and the remedy. A remedy names parameters
of Python in backticks, such as `no_answer_threshold`; the command line shows its own options instead.
"""

__all__ = [
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "EdgeQAError",
    "InferenceError",
    "InputError",
    "MissingExtraError",
    "ResourceError",
    "VerificationError",
    "is_out_of_memory",
    "missing_extra",
    "out_of_memory",
]


class EdgeQAError(Exception):
    """Root of every error raised on purpose by Edge QA.

    got: what is wrong. where: the file, option or input that it is wrong with. wanted: what would be right.
    remedy: what to do. Each is text, or None where it is not known or stands in `got`.
    `str(error)` is all of it on one line: "where: got, wanted ...; remedy".
    """

    def __init__(
        self,
        got: object,
        *,
        where: object | None = None,
        wanted: object | None = None,
        remedy: object | None = None,
    ) -> None:
        super().__init__(got)
        self.got = str(got)
        self.where = None if where is None else str(where)
        self.wanted = None if wanted is None else str(wanted)
        self.remedy = None if remedy is None else str(remedy)

    def __str__(self) -> str:
        where = "" if self.where is None else f"{self.where}: "
        wanted = "" if self.wanted is None else f", wanted {self.wanted}"
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{where}{self.got}{wanted}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are pickled by their positional arguments alone; worker processes send errors home.
        return _rebuilt, (type(self), self.got, self.where, self.wanted, self.remedy)


def _rebuilt(
    kind: type[EdgeQAError], got: str, where: str | None, wanted: str | None, remedy: str | None
) -> EdgeQAError:
    return kind(got, where=where, wanted=wanted, remedy=remedy)


class VerificationError(EdgeQAError):
    """A converted model does not compute what its checkpoint computes; nothing was written."""


class CalibrationError(EdgeQAError):
    """A calibration ended without a model that meets what was asked for; nothing was written."""


class BundleError(EdgeQAError):
    """A bundle is missing, damaged, of another format, or cannot be written."""


class CheckpointError(EdgeQAError):
    """A checkpoint is missing, incomplete, inconsistent, or of an unsupported family."""


class InputError(EdgeQAError, ValueError):
    """A question, context, data set or option value cannot be used.

    A ValueError too, which is what the pipeline of transformers raised.
    """


class InferenceError(EdgeQAError):
    """The model ran and gave something that cannot be an answer."""


class ResourceError(EdgeQAError):
    """The machine lacks something: disk space, memory, an instruction set."""


# How numpy, OpenVINO, oneDNN and the loader of libraries say it; few of them raise MemoryError.
_OUT_OF_MEMORY = (
    *("bad_alloc", "bad allocation", "annot allocate memory", "failed to map segment", "nable to allocate"),
    *(
        "could not allocate",
        "can't alloc",
        "ut of memory",
        "can't start new thread",
        "Resource temporarily unavailable",
    ),
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return True if an error, or one that it was made of, says that no memory was left."""
    while error is not None:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def out_of_memory(where: object | None = None) -> ResourceError:
    """Return the error to raise where `is_out_of_memory`."""
    return ResourceError("out of memory", where=where, remedy="close other programs, or use a smaller model or input")


class MissingExtraError(ResourceError):
    """A package that an extra brings is not installed."""


def missing_extra(error: ModuleNotFoundError, extra: str) -> MissingExtraError:
    """Return the error to raise where `error.name`, which belongs to `extra`, cannot be imported."""
    return MissingExtraError(f"{error.name} is not installed", remedy=f"pip install 'edge-qa[{extra}]' brings it")
