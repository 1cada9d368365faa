"""A call that runs while the caller does something else."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Meanwhile(Generic[Result]):
    """A call in a thread of its own, begun at once; worth it where the call leaves Python's lock alone."""

    def __init__(self, call: Callable[..., Result], *arguments: Any, **options: Any) -> None:
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._call: Callable[[], Result] = partial(call, *arguments, **options)
        # No daemon: a thread that is inside Rust when the interpreter ends can abort the process.
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def result(self) -> Result:
        """Wait for the call and return what it returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # a panic of the Rust tokenizer is no Exception
            self._error = error
