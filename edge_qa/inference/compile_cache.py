"""Compile a bundle's model, or take it ready from a folder of compiled models that the user named.

OpenVINO can write down a compiled model and read it back in a fraction of the time. It believes
whatever it reads, though: a damaged file, or one made for something else, gives wrong answers
without an error. So an entry here says what it was made from and on what, and holds the sha256 of
its bytes; one that differs in anything is compiled again.
"""

import hashlib
import json
import logging
import os
import platform
import stat
from pathlib import Path
from typing import Any

from edge_qa import __version__
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_XML
from edge_qa.errors import ResourceError
from edge_qa.files import write_file
from edge_qa.inference.table_rows import check_table_rows
from edge_qa.system.cgroup import read_lines
from edge_qa.system.cpu import CAP_VARIABLE, this_cpu

_FORMAT = 1
# Room for the header, and an alignment that suits whatever reads the bytes behind it.
_HEADER_BYTES = 4096
# What of /proc/cpuinfo tells one kind of CPU from another, on x86 and on ARM.
_CPU_FIELDS = {
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
}

_log = logging.getLogger(__name__)


def compiled_model(
    bundle: Bundle, options: dict[str, Any], *, xml: str = MODEL_XML, cache: str | os.PathLike[str] | None = None
) -> ov.CompiledModel:
    """Return the bundle's model compiled for this CPU.

    options: OpenVINO's, for `compile_model`. xml: which of the bundle's models. cache: an existing
    folder of compiled models; the one wanted is read from it, or compiled and put there. Where it cannot be
    put there, such as on a full disk, a warning is logged.
    Raises ResourceError if the folder cannot be read, and RuntimeError, which is OpenVINO's.
    """
    core = this_core()
    if cache is None:
        return _compile(core, bundle, options, xml)
    if not os.fspath(cache):
        raise ResourceError(
            "the folder for compiled models has an empty name", remedy="give an existing folder, or none"
        )
    path, key = _entry(bundle, options, xml, Path(cache))
    blob = _read(path, key)
    if blob is not None:
        try:
            return core.import_model(blob, "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1:]
            _log.warning("%s: OpenVINO does not take it %s; the model is compiled again", path, reason)
    compiled = _compile(core, bundle, options, xml)
    blob = compiled.export_model().getvalue()
    header = json.dumps({"key": key, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()})
    try:
        write_file(path, header.encode().ljust(_HEADER_BYTES) + blob)
    except ResourceError as error:
        # The model is there already: only the next start is no faster.
        _log.warning("%s", str(error).replace("choose another place", "the compiled model is not kept"))
    return compiled


def _compile(core: ov.Core, bundle: Bundle, options: dict[str, Any], xml: str) -> ov.CompiledModel:
    model = core.read_model(bundle.checked_xml(xml), ov.Tensor(bundle.model_bin))
    check_table_rows(model, bundle.manifest, bundle.path)
    return core.compile_model(model, "CPU", options)


def _entry(bundle: Bundle, options: dict[str, Any], xml: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """Where a compiled model is kept, and all that it depends on."""
    if not os.path.isdir(folder):
        kind = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise ResourceError(kind, where=folder, remedy="create the folder for compiled models first, or give none")
    key = {
        "format": str(_FORMAT),
        "edge_qa": __version__,
        "openvino": ov.get_version(),
        "bundle": bundle.manifest.digest,
        "model": xml,
        "options": json.dumps(options, sort_keys=True),
        "cpu": _cpu_kind(),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return folder / f"{bundle.manifest.digest[:16]}-{name[:32]}.compiled", key


def _cpu_kind() -> str:
    """The CPU, its instruction set, and the cap on it, as one hash."""
    lines = read_lines(Path("/proc/cpuinfo"))
    fields = sorted({line for line in lines if line.partition(":")[0].strip() in _CPU_FIELDS})
    seen = [platform.machine(), this_cpu().instruction_set, os.environ.get(CAP_VARIABLE, "").upper(), *fields]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _read(path: Path, key: dict[str, str]) -> bytes | None:
    """The compiled model at `path`, if it is there, whole, and what `key` says."""
    try:
        # Not a pipe that nobody writes to, and no more than the header promises.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            header = file.read(_HEADER_BYTES) if stat.S_ISREG(status.st_mode) else b""
            promised = _promised_bytes(header)
            blob = file.read() if status.st_size == _HEADER_BYTES + promised else b""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResourceError(
            f"cannot be read ({error.strerror})",
            where=path,
            remedy="remove it, or give another folder for compiled models",
        ) from None
    try:
        wanted = json.loads(header)
        whole = wanted == {"key": key, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    except (ValueError, RecursionError):
        whole = False
    if whole:
        return blob
    _log.warning("%s: damaged, or made for something else; the model is compiled again", path)
    return None


def _promised_bytes(header: bytes) -> int:
    """How long the blob behind a header is, by what it says; -1 if it says nothing."""
    try:
        return int(json.loads(header)["bytes"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return -1
