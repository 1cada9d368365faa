"""Which engine answers: OpenVINO, or the native one where it is installed and the bundle is packed for it.

"auto" takes the native engine only where somebody asked for it by installing edge-qa-kernels, and by packing the
bundle or naming a folder for compiled models. Its scores differ a little from OpenVINO's, as INT8's do from FP16's.
"""

import logging
import os
from typing import Literal

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET, PACKED_MODEL
from edge_qa.errors import BundleError, EdgeQAError, InputError, ResourceError
from edge_qa.files import scratch_folder, write_file
from edge_qa.inference.native.engine import NativeEngine
from edge_qa.inference.native.library import CAP_VARIABLE, Library, this_library
from edge_qa.inference.native.packed_model import PackedModel
from edge_qa.inference.native.packing import cached_path, pack

EngineName = Literal["auto", "native", "openvino"]
ENGINES: tuple[EngineName, ...] = ("auto", "native", "openvino")

_log = logging.getLogger(__name__)


def native_engine(
    bundle: Bundle,
    engine: EngineName,
    *,
    threads: int | None = None,
    precision: str = "f32",
    cache: str | os.PathLike[str] | None = None,
    budget: str = FULL_BUDGET,
) -> NativeEngine | None:
    """Return the native engine for a bundle, or None where OpenVINO answers.

    Raises InputError for an engine that there is not; with "native" also ResourceError where it is not installed or
    this CPU cannot run it, and BundleError where the bundle cannot be packed for it.
    """
    if engine not in ENGINES:
        raise InputError(f"got {engine!r}", where="engine", wanted=" or ".join(ENGINES))
    if engine == "openvino":
        return None
    library = this_library()
    isa = library.best_path() if library else None
    if engine == "auto" and (precision != "f32" or isa is None):
        return None
    if precision != "f32":
        raise InputError(f"got {precision}", where="precision", remedy="the native engine computes in 8 bits")
    if library is None:
        raise ResourceError(
            "edge-qa-kernels is not installed, or cannot be loaded here",
            where="engine 'native'",
            remedy="pip install ./kernels in the project's folder, on x86-64 Linux, or answer with 'openvino'",
        )
    if isa is None:
        cap = os.environ.get(CAP_VARIABLE)
        reason = f"{CAP_VARIABLE} is {cap!r}" if cap else "the CPU lacks AVX2"
        raise ResourceError(f"{reason}, and no path runs", where="engine 'native'", remedy="answer with 'openvino'")
    bundle.manifest.budget_model(budget, bundle.path)  # that it has the budget
    model = _model(bundle, engine, cache, library, isa)
    return None if model is None else NativeEngine(model, bundle.manifest, threads=threads, budget=budget)


def may_be_native(
    path: str | os.PathLike[str], engine: EngineName, precision: str, cache: str | os.PathLike[str] | None
) -> bool:
    """Say whether OpenVINO need not be imported while the bundle is read: a guess, cheaply made."""
    if engine == "auto":
        at_hand = cache is not None or os.path.isfile(os.path.join(path, PACKED_MODEL))
        return at_hand and precision == "f32" and this_library() is not None
    return engine == "native"


def _model(
    bundle: Bundle,
    engine: EngineName,
    cache: str | os.PathLike[str] | None,
    library: Library,
    isa: str,
) -> PackedModel | None:
    """The packed model of the bundle itself, of the cache, or made for this process; None for OpenVINO."""
    record = bundle.manifest.files.get(PACKED_MODEL)
    if record is not None:
        return PackedModel(bundle.map(PACKED_MODEL), bundle.path / PACKED_MODEL, library, isa, record)
    if cache is not None:
        try:
            return _cached(bundle, cache, library, isa)
        except EdgeQAError as error:
            if engine == "native":
                raise
            _log.info("%s; OpenVINO answers instead", error)
            return None
    return PackedModel.in_memory(pack(bundle.path), bundle.path, library, isa) if engine == "native" else None


def _cached(bundle: Bundle, cache: str | os.PathLike[str], library: Library, isa: str) -> PackedModel:
    path = cached_path(bundle.manifest, cache)
    if path.is_file():
        try:
            return PackedModel.mapped(path, library, isa)
        except BundleError as error:
            _log.warning("%s; the bundle is packed again", error)
    with scratch_folder(path) as scratch:
        packed = pack(bundle.path, scratch)
    write_file(path, packed)
    return PackedModel.mapped(path, library, isa)
