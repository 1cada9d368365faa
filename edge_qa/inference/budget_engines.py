"""The engines of one answerer: one for each token budget, made at its first use."""

import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import Manifest
from edge_qa.errors import InputError
from edge_qa.inference.engine_choice import EngineName, native_engine
from edge_qa.inference.native.engine import NativeEngine

if TYPE_CHECKING:
    from edge_qa.inference.engine import ComputePrecision, Engine

_all: "weakref.WeakSet[BudgetEngines]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: a lock that another thread held at that moment is never given back."""
    for engines in list(_all):
        engines.making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class BudgetEngines:
    """The engine that a bundle is loaded with, and those of its other token budgets. Safe to share between threads."""

    def __init__(
        self,
        bundle: Bundle,
        engine: EngineName,
        *,
        threads: int | None,
        precision: "ComputePrecision",
        cache: str | os.PathLike[str] | None,
        budget: str,
    ) -> None:
        """Compile or map the engine of `budget`; the options are those of `QuestionAnswerer`."""
        self.budget = budget
        self._manifest: Manifest = bundle.manifest
        self._source = bundle.source()
        native = native_engine(bundle, engine, threads=threads, precision=precision, cache=cache, budget=budget)
        self._compile = _compiler(threads, precision, cache) if native is None else None
        self.first: Engine | NativeEngine = native or self._compiled(bundle, budget)
        self._engines = {budget: self.first}
        self.making = threading.Lock()
        self._closed = False
        _all.add(self)

    def of(self, budget: str | None) -> "Engine | NativeEngine":
        """Return the engine of a budget, None for the one loaded with; another is compiled at its first use.

        Raises InputError if the bundle has no such budget, BundleError if it is not there any more.
        """
        if budget is None or budget == self.budget:
            return self.first
        self._manifest.budget_model(budget, self._source.path)  # that there is one
        if budget in self._engines:  # without waiting for another one that is being compiled
            return self._engines[budget]
        with self.making:
            if self._closed:
                raise InputError("this answerer is closed", remedy="load the bundle again")
            if budget not in self._engines:
                if isinstance(self.first, NativeEngine):
                    self._engines[budget] = self.first.with_budget(budget)
                else:
                    # Read again rather than kept: the weights of a compiled model are copies.
                    self._engines[budget] = self._compiled(self._source.bundle(), budget)
            return self._engines[budget]

    def close(self) -> None:
        """Free them. Questions asked afterwards raise InputError."""
        with self.making:
            self._closed = True
            for engine in self._engines.values():
                engine.close()

    def _compiled(self, bundle: Bundle, budget: str) -> "Engine":
        assert self._compile is not None
        return self._compile(bundle, xml=self._manifest.budget_model(budget, bundle.path))


def _compiler(
    threads: int | None, precision: "ComputePrecision", cache: str | os.PathLike[str] | None
) -> "Callable[..., Engine]":
    # Imported here, because OpenVINO comes with it: `load` reads the bundle meanwhile.
    from edge_qa.inference.engine import Engine

    return partial(Engine, threads=threads, precision=precision, cache=cache)
