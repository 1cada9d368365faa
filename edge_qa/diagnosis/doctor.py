"""Is this machine fit to answer questions, and would a bundle run right on it?

Nothing heavy is imported at the top: a machine on which OpenVINO cannot even be imported is one
that a doctor is asked about.
"""

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edge_qa.diagnosis.expected_gains import bf16_gain, int8_gain, sparsity_gain
from edge_qa.diagnosis.finding import Finding
from edge_qa.errors import BundleError
from edge_qa.system.cpu import CAP_VARIABLE
from edge_qa.system.machine import Machine, this_machine
from edge_qa.system.memory import Memory, this_memory

if TYPE_CHECKING:
    from edge_qa.system.matmul_probe import Products

# A process with the smallest bundle in use, before it has seen every input length.
_LEAST_BYTES = 250 * 10**6


@dataclass(frozen=True)
class OpenVINO:
    """OpenVINO as it is installed: versions, and what its CPU plugin says of the CPU (without a cap)."""

    version: str
    plugin: str
    device: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What was found; well: no problem among the findings.

    openvino is None if it, numpy or tokenizers cannot be imported.
    """

    well: bool
    bundle: str | None
    machine: Machine
    memory: Memory
    openvino: OpenVINO | None
    products: "Products | None"
    findings: tuple[Finding, ...]


def diagnose(bundle: str | os.PathLike[str] | None = None, measure: bool = False) -> Diagnosis:
    """Look at the machine, and at a bundle on it: its target, size, longest input, tokenizer, and one real answer.

    measure: time an f32 and an INT8 matrix product, a second or two.
    Raises BundleError if there is no folder `bundle`; whatever is wrong inside it is a finding.
    """
    path = None if bundle is None else Path(bundle)
    if path is not None and not os.path.isdir(path):
        raise BundleError("is no folder", where=path, remedy="give the folder of a bundle, made with edge-qa convert")
    machine, memory = this_machine(), this_memory()
    findings = [*_look_at_cpu(machine), *_look_at_memory(memory), *_look_at_sqlite()]
    installed, products = None, None
    try:
        import_module("numpy")
        import_module("tokenizers")
        installed = _look_at_openvino()
    except (ImportError, OSError, RuntimeError) as error:
        findings.append(_broken(error))
    if installed is not None:
        from edge_qa.diagnosis.bundle_fitness import check_bundle
        from edge_qa.system.matmul_probe import bf16_runs, measure_products

        findings.append(_fact("openvino", f"{installed.version}; CPU plugin: {', '.join(installed.capabilities)}"))
        findings.append(_look_at_native())
        findings.append(bf16_gain(bf16_runs()))
        findings.append(int8_gain(machine.instruction_set, x86=_is_x86()))
        if measure:
            products = measure_products()
            findings += _look_at_products(products, machine)
        findings.append(sparsity_gain(machine.instruction_set, native=_native_path() is not None))
        if path is not None:
            findings += check_bundle(path, machine, memory)
    well = all(finding.level != "problem" for finding in findings)
    return Diagnosis(well, None if path is None else str(path), machine, memory, installed, products, tuple(findings))


def _look_at_cpu(machine: Machine) -> Iterator[Finding]:
    yield _fact("cpu", f"{machine.cpu}: {machine.instruction_set if _is_x86() else platform.machine()}")
    if machine.cap is not None and machine.hidden_instruction_set is None:
        yield Finding(
            "cpu",
            "note",
            f"{CAP_VARIABLE}={machine.cap} takes nothing away from this CPU",
            "this machine",
            f"unset {CAP_VARIABLE}, or check its spelling",
        )
    if machine.hidden_instruction_set is not None:
        yield Finding(
            "cpu",
            "note",
            f"{CAP_VARIABLE}={machine.cap} hides what the CPU has: {machine.hidden_instruction_set}",
            "this machine",
            f"unset {CAP_VARIABLE} for full speed",
        )
    if _is_x86() and machine.instruction_set == "sse":
        yield Finding(
            "cpu", "note", "without AVX2 answers take several times as long", "expected", "use a CPU with AVX2 or newer"
        )
    quota = "no quota" if machine.quota is None else f"a quota of {machine.quota:g}"
    threads = f"{machine.threads} thread{'s' * (machine.threads > 1)}"
    yield _fact(
        "cores",
        f"{machine.cores} in the machine, {machine.allowed_cores} open to this process, {quota}: "
        f"{threads} an inference; load average {machine.load_average:.1f}",
    )
    if machine.load_average > machine.cores:
        yield Finding(
            "cores",
            "note",
            "other programs keep the machine busy: what is measured here comes out too slow",
            "this machine",
            "try again when it is idle",
        )
    if machine.quota is not None and machine.quota < 1:
        yield Finding(
            "cores",
            "note",
            f"less than one core ({machine.quota:g}): every answer waits for its share of time",
            "this machine",
            "give the container one whole CPU or more, such as --cpus 1",
        )


def _look_at_memory(memory: Memory) -> Iterator[Finding]:
    limit = "no limit by control groups" if memory.limit_bytes is None else f"limit {_gigabytes(memory.limit_bytes)}"
    yield _fact(
        "memory", f"{_gigabytes(memory.total_bytes)} in all, {_gigabytes(memory.available_bytes)} available, {limit}"
    )
    usable = memory.usable_bytes
    if usable is not None and usable < _LEAST_BYTES:
        yield Finding(
            "memory",
            "note",
            f"{usable / 1e6:.0f} MB left, even a small bundle takes about {_LEAST_BYTES / 1e6:.0f}",
            "this machine",
            "close other programs or raise the container's memory limit",
        )


def _look_at_native() -> Finding:
    """Whether the native engine is installed, and what it would run on."""
    from edge_qa.inference.native.library import CAP_VARIABLE as NATIVE_CAP
    from edge_qa.inference.native.library import this_library

    library = this_library()
    if library is None:
        return _fact(
            "native",
            "not installed (pip install ./kernels in the project's folder); OpenVINO runs every model",
        )
    isa = library.best_path()
    if isa is None:
        cap = os.environ.get(NATIVE_CAP)
        reason = f"{NATIVE_CAP}={cap} names no path" if cap else "this CPU lacks AVX2"
        return _fact("native", f"installed, but {reason}; OpenVINO answers")
    return _fact("native", f"installed, runs on {isa}")


def _native_path() -> str | None:
    from edge_qa.inference.native.library import this_library

    library = this_library()
    return None if library is None else library.best_path()


def _look_at_openvino() -> OpenVINO:
    from edge_qa._openvino import ov, this_core

    core = this_core()
    return OpenVINO(
        version=ov.get_version(),
        plugin=core.get_versions("CPU")["CPU"].build_number,
        device=core.get_property("CPU", "FULL_DEVICE_NAME"),
        capabilities=tuple(sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
    )


def _broken(error: Exception) -> Finding:
    return Finding(
        "packages",
        "problem",
        f"numpy, tokenizers or OpenVINO cannot be used: {(str(error) or type(error).__name__).splitlines()[0]}",
        "this machine",
        "pip install --force-reinstall edge-qa; OpenVINO's wheels are for Linux with glibc on x86-64 and aarch64",
    )


def _look_at_products(products: "Products", machine: Machine) -> Iterator[Finding]:
    text = (
        f"one {'x'.join(map(str, products.shape))} product on {products.threads} threads: "
        f"f32 {products.f32_gops:.0f} GOPS, INT8 {products.int8_gops:.0f} GOPS, {products.int8_speed:.1f}x"
    )
    yield Finding("int8", "fact", text, "measured here")
    if machine.hidden_instruction_set is not None:
        yield Finding(
            "int8",
            "note",
            f"OpenVINO's f32 product does not obey {CAP_VARIABLE}, so the ratio is not that of a smaller CPU",
            "measured elsewhere",
            f"unset {CAP_VARIABLE} to know this CPU",
        )
    if products.int8_sums_are_exact:
        yield Finding("int8", "fact", "sums of the largest 8-bit values are exact", "measured here")
    else:
        yield Finding(
            "int8",
            "fact",
            "sums of the largest 8-bit values overflow: only bundles of target any or avx2 are right",
            "measured here",
        )


def _look_at_sqlite() -> Iterator[Finding]:
    """Only questions over documents need it."""
    try:
        sqlite = import_module("sqlite3")
        with contextlib.closing(sqlite.connect(":memory:")) as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    except Exception as error:
        yield Finding(
            "documents",
            "note",
            f"documents cannot be indexed here: Python's sqlite3 has no FTS5 ({error})",
            "this machine",
            "use a Python whose SQLite has it, if you need edge-qa index",
        )


def _fact(topic: str, text: str) -> Finding:
    return Finding(topic, "fact", text, "this machine")


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _gigabytes(amount: int | None) -> str:
    return "unknown" if amount is None else f"{amount / 1e9:.1f} GB"
