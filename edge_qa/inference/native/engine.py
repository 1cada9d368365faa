"""Windows -> logits by the native engine. OpenVINO is not imported."""

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_qa.bundle.manifest import FULL_BUDGET, INPUT_ROLES, Manifest
from edge_qa.errors import InferenceError, InputError, ResourceError
from edge_qa.inference.contract import batch_inputs, check_inputs
from edge_qa.inference.native.library import BAD_INPUT, NO_MEMORY, OK
from edge_qa.inference.native.packed_model import PackedModel
from edge_qa.inference.native.pools import pool_of
from edge_qa.system.cpu import this_cpu
from edge_qa.text.windows import Window

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]

_CLOSED = "this answerer is closed"
_NOTHING: Logits = np.empty(0, np.float32)

_leases: "weakref.WeakSet[_Lease]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: calls of other threads are gone, and so is what they held."""
    for lease in list(_leases):
        lease.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Lease:
    """Who uses a model: it is closed when nobody runs it any more."""

    def __init__(self, model: PackedModel) -> None:
        self.model = model
        self.open = True
        self.reset()
        _leases.add(self)

    def reset(self) -> None:
        self._free = threading.Condition()
        self._running = 0

    @contextlib.contextmanager
    def use(self) -> Iterator[PackedModel]:
        with self._free:
            if not self.open:
                raise InputError(_CLOSED, remedy="load the bundle again")
            self._running += 1
        try:
            yield self.model
        finally:
            with self._free:
                self._running -= 1
                self._free.notify_all()

    def close(self) -> None:
        with self._free:
            if not self.open:
                return
            self.open = False
            while self._running:
                self._free.wait()
        self.model.close()


class NativeEngine:
    """A packed model, run in 8 bits. Safe to share between threads.

    The same logits to the last bit on every CPU, for every number of threads and every batch.
    """

    name = "native"
    precision = "int8"

    def __init__(
        self, model: PackedModel, manifest: Manifest, *, threads: int | None = None, budget: str = FULL_BUDGET
    ) -> None:
        """Run a model that is open.

        threads: how many cores one inference uses; None for all that the process may use.
        budget: which of the bundle's token budgets. Raises InputError for less than one thread.
        """
        if threads is not None and threads < 1:
            raise InputError(
                f"got {threads}", where="threads", wanted="at least 1, or None for all that the process may use"
            )
        self.model, self.io = manifest.model, manifest.io
        self.threads = threads or this_cpu().threads
        self._manifest = manifest
        self._budget = -1 if budget == FULL_BUDGET else list(manifest.budgets or {}).index(budget)
        self._lease = _Lease(model)

    @property
    def isa(self) -> str:
        """The instruction set that runs it, such as avx512_vnni."""
        return self._lease.model.isa

    def with_budget(self, budget: str) -> "NativeEngine":
        """Return the engine of another token budget over the same model."""
        other = NativeEngine(self._lease.model, self._manifest, threads=self.threads, budget=budget)
        other._lease = self._lease
        return other

    def logits(self, windows: Sequence[Window], *, batch_size: int = 1) -> tuple[list[Logits], list[Logits]]:
        """Return the start and end logits of each window, (tokens,) each, in the order given.

        batch_size: how many windows run together; of different lengths, too, because nothing is padded.
        """
        start: list[Logits] = []
        end: list[Logits] = []
        for first in range(0, len(windows), batch_size):
            some = windows[first : first + batch_size]
            lengths = [window.tokens for window in some]
            joined = [np.concatenate([getattr(window, role) for window in some]) for role in INPUT_ROLES[:1]]
            types = np.concatenate([window.token_type_ids for window in some])
            positions = np.concatenate([np.arange(length) for length in lengths])
            starts, ends = self._run(lengths, joined[0], types, positions)
            bounds = np.cumsum(lengths)[:-1]
            start += np.split(starts, bounds)
            end += np.split(ends, bounds)
        return start, end

    def run(self, inputs: dict[str, Ints]) -> tuple[Logits, Logits]:
        """Run the model on the inputs of the contract, each (batch, tokens); returns (batch, tokens) twice.

        Tokens that the mask leaves out are not run; their logits are 0. Raises InputError.
        """
        if not self._lease.open:
            raise InputError(_CLOSED, remedy="load the bundle again")
        check_inputs(inputs, self.io, self.model)
        mask = inputs["attention_mask"].astype(bool)
        lengths = mask.sum(axis=1)
        shape = mask.shape
        zeros = np.zeros(shape, np.int64)
        positions = inputs.get("position_ids", np.broadcast_to(np.arange(shape[1]), shape))
        both = self._run(
            lengths[lengths > 0].tolist(),
            inputs["input_ids"][mask],
            inputs.get("token_type_ids", zeros)[mask],
            positions[mask],
        )
        start, end = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        start[mask], end[mask] = both
        return start, end

    def _run(self, lengths: list[int], ids: Ints, types: Ints, positions: Ints) -> tuple[Logits, Logits]:
        if not lengths:
            return _NOTHING, _NOTHING
        counts = np.array(lengths, np.int32)
        arrays = [np.ascontiguousarray(array, np.int64) for array in (ids, types, positions)]
        start, end = np.empty(ids.size, np.float32), np.empty(ids.size, np.float32)
        error = ctypes.create_string_buffer(256)
        with self._lease.use() as model:
            pool = pool_of(model.library, self.threads)
            # The interpreter's lock is free meanwhile.
            code = model.library.functions.edge_qa_run(
                model.handle,
                pool,
                self._budget,
                len(counts),
                counts.ctypes.data,
                *(array.ctypes.data for array in arrays),
                start.ctypes.data,
                end.ctypes.data,
                error,
                len(error),
            )
        if code == OK:
            return start, end
        text = error.value.decode(errors="replace")
        if code == BAD_INPUT:
            raise InputError(text, where="inputs", remedy="give what the model takes")
        if code == NO_MEMORY:
            raise ResourceError(text, where=f"an inference of {ids.size} tokens")
        raise InferenceError(text, where="the native engine failed")

    def close(self) -> None:
        """Free the model, once what runs is done; `run` then raises InputError."""
        self._lease.close()

    def warm_up(self, longest: int) -> None:
        """Run the longest input once, for its memory: there is nothing to make for each length."""
        self.run(batch_inputs([], longest, 1) | {"attention_mask": np.ones((1, longest), np.int64)})

    def padded_length(self, tokens: int) -> int:
        """Return the length that an input of `tokens` tokens is run at: its own."""
        return tokens

    def batch(self, windows: Sequence[Window], *, pad: bool = True) -> dict[str, Ints]:
        """Return windows as inputs of the contract, (windows, tokens) each, as long as the longest.

        pad: as for the other engine; there is no length to pad to.
        """
        return batch_inputs(windows, max(window.tokens for window in windows))
