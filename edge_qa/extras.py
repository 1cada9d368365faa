"""One sentence for a package that is not installed: which extra brings it."""

from edge_qa.errors import ResourceError


def missing_extra(error: ModuleNotFoundError, extra: str) -> ResourceError:
    """Return the error to raise where `error.name`, which belongs to `extra`, cannot be imported."""
    return ResourceError(
        f"{error.name} is not installed, and this needs it: pip install '.[{extra}]' in the folder of Edge QA's source"
    )
