"""The first answer of a process, soon: the bundle is read while OpenVINO is imported."""

import os
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.text.tokenizer import bundle_tokenizer

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer


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


def start(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    budget: str = FULL_BUDGET,
    done: Callable[[str], None] = lambda step: None,
) -> "QuestionAnswerer":
    """Return what `QuestionAnswerer.load` returns, sooner in a process that has not imported it yet.

    done: called after each step, with "ready", "hashed", "tokenizer", "imported" and "compiled".
    Raises what `QuestionAnswerer.load` raises.
    """
    done("ready")
    # The imports run in the other thread, because the memory that this one frees is used again by the compilation.
    importing = Meanwhile(import_module, "edge_qa.answerer")
    try:
        bundle = Bundle.load(path, model_later=cache is not None)
        done("hashed")
        tokenizer = bundle_tokenizer(bundle)
        done("tokenizer")
    finally:
        module = importing.result()
    done("imported")
    answerer: QuestionAnswerer = module.QuestionAnswerer(
        bundle, threads=threads, cache=cache, budget=budget, tokenizer=tokenizer
    )
    done("compiled")
    return answerer
