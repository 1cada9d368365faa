"""What a command says at Ctrl-C when its work can go on later."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resumable(how: str | None) -> Iterator[None]:
    """Let an interruption inside say `how` the work goes on; None where it begins anew."""
    try:
        yield
    except KeyboardInterrupt:
        if how is None:
            raise
        raise KeyboardInterrupt(how) from None
