"""Windows -> logits: one compiled model, a pool of infer requests, every input checked."""

import os
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_qa._openvino import in_use, keep_for_ever, options_after_fork, ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES, MODEL_XML, OUTPUT_ROLES
from edge_qa.errors import (
    BundleError,
    InferenceError,
    InputError,
    ResourceError,
    is_out_of_memory,
    out_of_memory,
)
from edge_qa.inference.compile_cache import compiled_model
from edge_qa.inference.contract import batch_inputs, check_inputs
from edge_qa.system.cpu import this_cpu
from edge_qa.text.windows import Window

ComputePrecision = Literal["f32", "bf16"]
Logits = NDArray[np.float32]

# Lengths are rounded up to a multiple of this: OpenVINO keeps compiled kernels for each length it
# has seen, so every new length costs time and memory. See the README's measurements.
LENGTH_STEP = 16

# Kernels are kept for each number of windows, too, and a pruned model, whose layers all differ, shares none between
# layers: 8 MB a shape. So windows run in whole batches or one by one, and those that keep the cores busy by
# themselves run one by one: batches of them were 3 % faster and took 180 MB.
_LONGEST_IN_A_BATCH = 96

_NUMPY_TYPES = {"i64": np.int64, "i32": np.int32}


_CLOSED = "this answerer is closed; load the bundle again"
_NOTHING: Logits = np.empty(0, np.float32)

_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: mark every engine as the parent's; OpenVINO's threads and locks are not usable here."""
    for engine in list(_engines):
        engine._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# Where OpenVINO (2026.4.1) fails amid a model whose shapes do not fit, which none has that was made well, some later
# inference of another model in the same process dies of a signal: mutation 1138 of tests/fuzz, a dozen times.
_failed: list[str] = []


def failed_before() -> bool:
    """Whether OpenVINO failed amid a model in this process, which can then run none any more."""
    return bool(_failed)


class Engine:
    """A bundle compiled by OpenVINO. Safe to share between threads."""

    name = "openvino"

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        precision: ComputePrecision = "f32",
        length_step: int = LENGTH_STEP,
        cache: str | os.PathLike[str] | None = None,
        xml: str = MODEL_XML,
    ) -> None:
        """Compile the bundle's model for this CPU.

        threads: how many cores one inference uses; None for all that the process may use.
        precision: of activations and sums. f32 gives nearly the same scores on every CPU; bf16 does not.
        cache: a folder of compiled models to take this one from, or put it into.
        xml: which of the bundle's models.
        Raises InputError for less than one thread, ResourceError if the CPU cannot run the bundle right,
        BundleError if OpenVINO cannot.
        """
        if threads is not None and threads < 1:
            raise InputError(
                f"got {threads}", where="threads", wanted="at least 1, or None for all that the process may use"
            )
        manifest = bundle.manifest
        cpu = this_cpu()
        if manifest.target == "vnni" and not cpu.has_int8_dot_product:
            raise ResourceError(
                f"quantized for CPUs with VNNI, this one has {cpu.instruction_set}, where its 8-bit sums "
                "would overflow into wrong answers",
                where=bundle.path,
                remedy="quantize it for the target 'any'",
            )
        self.model = manifest.model
        self.io = manifest.io
        self.precision = precision
        self.length_step = length_step
        self.threads = threads or cpu.threads
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "CPU_DENORMALS_OPTIMIZATION": False,
            # Pinned threads, the caller's among them, share a core with whatever else was pinned to it: beside
            # another busy process an inference took twice as long; alone nothing changes.
            "ENABLE_CPU_PINNING": False,
        }
        # What a forked child compiles anew from: not the weights, of which the compiled model holds copies.
        self._source = bundle.source()
        self._options = options
        self._compile = partial(compiled_model, xml=xml, cache=cache)
        self._is_inherited = False
        self._renewing = threading.Lock()
        self._load(bundle)
        _engines.add(self)

    def _load(self, bundle: Bundle) -> None:
        try:
            with in_use():
                self._compiled = self._compile(bundle, options=self._options | options_after_fork())
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory(bundle.path) from None
            raise BundleError(f"OpenVINO cannot load the model ({_first_line(error)})", where=bundle.path) from None
        self._check_names(str(bundle.path))
        self._fill_pool()

    def _disown(self) -> None:
        """In a forked child: let go of what is the parent's, without freeing it, which would wait for its threads."""
        if self._compiled is not None:
            keep_for_ever((self._compiled, self._requests))
            self._is_inherited = True
        self._renewing = threading.Lock()

    def _renew(self) -> None:
        """In a forked child, at its first question: compile the same bundle anew."""
        with self._renewing:
            if self._is_inherited and self._compiled is not None:
                self._load(self._source.bundle())
                self._is_inherited = False

    def logits(self, windows: Sequence[Window], *, batch_size: int = 1) -> tuple[list[Logits], list[Logits]]:
        """Return the start and end logits of each window, (tokens,) each, in the order given.

        batch_size: how many windows of one padded length run together, where the model allows it.
        """
        start: list[Logits] = [_NOTHING] * len(windows)
        end = list(start)
        for places in self._groups(windows, batch_size):
            both = self.run(self.batch([windows[place] for place in places]))
            for row, place in enumerate(places):
                start[place] = both[0][row, : windows[place].tokens]
                end[place] = both[1][row, : windows[place].tokens]
        return start, end

    def _groups(self, windows: Sequence[Window], batch_size: int) -> Iterator[list[int]]:
        """Places of windows that run together: of one padded length, `batch_size` of them or one."""
        batch_size = min(batch_size, self.io.batch or batch_size)
        if batch_size == 1:
            yield from ([place] for place in range(len(windows)))
            return
        lengths: dict[int, list[int]] = {}
        for place, window in enumerate(windows):
            lengths.setdefault(self.padded_length(window.tokens), []).append(place)
        for length, places in lengths.items():
            # A model of a fixed batch runs no other shape in any case.
            size = batch_size if self.io.batch or length <= _LONGEST_IN_A_BATCH else 1
            whole = len(places) if self.io.batch else len(places) // size * size
            yield from (places[first : first + size] for first in range(0, whole, size))
            yield from ([place] for place in places[whole:])

    def _fill_pool(self) -> None:
        """One request for each stream: a request holds the memory of every tensor between two layers."""
        if self._compiled is None:
            return
        self._requests: queue.LifoQueue[ov.InferRequest | None] = queue.LifoQueue()
        self._pool_size = max(1, int(self._compiled.get_property("NUM_STREAMS")))
        for _ in range(self._pool_size):
            self._requests.put(self._compiled.create_infer_request())

    def run(self, inputs: dict[str, NDArray[np.int64]]) -> tuple[Logits, Logits]:
        """Run the model on the inputs of the contract, each (batch, tokens); returns (batch, tokens) twice.

        Every input is checked for presence, type, shape and range first, because OpenVINO runs on
        anything. Raises InputError.
        """
        if self._compiled is None:
            raise InputError(_CLOSED)
        if failed_before():
            raise InferenceError(
                "an earlier inference of this process failed amid its model; what OpenVINO computes since is not safe",
                remedy="start a new process, without that bundle",
            )
        check_inputs(inputs, self.io, self.model)
        if self._is_inherited:
            self._renew()
        pool = self._requests
        bound = {
            record.name: inputs[role].astype(_NUMPY_TYPES[record.type], copy=False)
            for role, record in self.io.inputs.items()
        }
        request = pool.get()
        try:
            if request is None:
                raise InputError(_CLOSED)
            # Sharing was seen to give one caller another caller's arrays.
            with in_use():
                results = request.infer(bound, share_inputs=False, share_outputs=False)
            start, end = (results[self.io.outputs[role]] for role in OUTPUT_ROLES)
            if not start.shape == end.shape == inputs["input_ids"].shape:
                problem = f"the model gave shapes {start.shape} and {end.shape}"
                _failed.append(problem)
                raise InferenceError(problem, where=f"a {_shape(inputs)} input")
            return start, end
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory(f"a {_shape(inputs)} input") from None
            _failed.append(_first_line(error))
            raise InferenceError(_first_line(error), where=f"OpenVINO failed on a {_shape(inputs)} input") from None
        finally:
            pool.put(request)

    def close(self) -> None:
        """Free the compiled model, once what runs is done; `run` then raises InputError."""
        if self._compiled is None:
            return
        self._compiled = None
        if self._is_inherited:
            self._requests = queue.LifoQueue()
        else:
            for _ in range(self._pool_size):
                self._requests.get()
        # Whoever still waits for a request takes this, and puts it back for the next.
        self._requests.put(None)

    def warm_up(self, longest: int) -> None:
        """Run every length up to `longest` tokens once, so that no user pays for the first sight of one."""
        for tokens in sorted({self.padded_length(n) for n in range(1, longest + 1)}):
            ids = np.zeros((1, tokens), np.int64)
            inputs = dict.fromkeys(INPUT_ROLES[:3], ids) | {"position_ids": np.arange(tokens)[None]}
            inputs["attention_mask"] = np.ones_like(ids)
            self.run(inputs)

    def padded_length(self, tokens: int) -> int:
        """Return the length that an input of `tokens` tokens is run at."""
        if self.io.tokens is not None:
            return self.io.tokens
        rounded = -(-tokens // self.length_step) * self.length_step
        return min(rounded, self.model.longest_input)

    def batch(self, windows: Sequence[Window], *, pad: bool = True) -> dict[str, NDArray[np.int64]]:
        """Return windows as inputs of the contract, (windows, tokens) each, padded to a length the engine runs at.

        pad: False for the length of the longest window itself, where the model allows it.
        """
        longest = max(window.tokens for window in windows)
        length = self.padded_length(longest) if pad or self.io.tokens is not None else longest
        return batch_inputs(windows, length, self.io.batch)

    def _check_names(self, where: str) -> None:
        """Binding is by name: a name that the model lacks must be found before the first question."""
        inputs = {name for port in self._compiled.inputs for name in port.get_names()}
        outputs = {name for port in self._compiled.outputs for name in port.get_names()}
        wrong = [record.name for record in self.io.inputs.values() if record.name not in inputs]
        wrong += [name for name in self.io.outputs.values() if name not in outputs]
        if wrong:
            raise BundleError(
                f"the manifest binds {', '.join(wrong)}, which the model lacks", where=where, remedy="make it again"
            )
        # A size of nothing, here or on the way, was seen to make kernels write past their memory.
        empty = [port.any_name for port in self._compiled.outputs if not _is_batch_by_tokens(port)]
        if empty:
            raise BundleError(f"{', '.join(empty)} is no (batch, tokens)", where=where, remedy="make it again")
        bound = {record.name for record in self.io.inputs.values()}
        unbound = [_name(port) for port in self._compiled.inputs if not port.get_names() & bound]
        if unbound:
            raise BundleError(
                f"the model takes {', '.join(unbound)}, which no role binds", where=where, remedy="make it again"
            )


def _is_batch_by_tokens(port: "ov.ConstOutput") -> bool:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return True
    return len(shape) == 2 and all(size.is_dynamic or size.get_length() for size in shape)


def _shape(inputs: dict[str, NDArray[np.int64]]) -> str:
    return "x".join(map(str, inputs["input_ids"].shape))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _name(port: "ov.ConstOutput") -> str:
    return min(port.get_names(), default="without a name")
