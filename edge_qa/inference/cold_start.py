"""The first answer of a process, soon: the bundle is read while OpenVINO is imported."""

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Generic, TypeVar

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.text.tokenizer import TextTokenizer, bundle_tokenizer

# What imports OpenVINO; named, because importing it here would be the wait that this module is about.
_ENGINE = "edge_qa.inference.engine"

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


def read_while_importing(
    path: str | os.PathLike[str],
    *,
    model_later: bool = False,
    budget: str = FULL_BUDGET,
    done: Callable[[str], None] = lambda step: None,
) -> tuple[Bundle, TextTokenizer]:
    """Load a bundle and its tokenizer while another thread imports OpenVINO, if this process has not yet.

    model_later: as for `Bundle.load`.
    budget: whose model is looked at, too, unless it is read later.
    done: called after each step, with "hashed", "tokenizer" and "imported".
    Raises what `Bundle.load`, `bundle_tokenizer` and `Bundle.checked_xml` raise.
    """
    # The imports run in the other thread, because the memory that this one frees is used again by the compilation.
    importing = None if _ENGINE in sys.modules else Meanwhile(import_module, _ENGINE)
    try:
        bundle = Bundle.load(path, model_later=model_later)
        done("hashed")
        tokenizer = bundle_tokenizer(bundle)
        done("tokenizer")
        if not model_later:
            bundle.checked_xml(bundle.manifest.budget_model(budget, path))
    finally:
        if importing is not None:
            importing.result()
    done("imported")
    return bundle, tokenizer
