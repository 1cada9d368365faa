"""What the CPU can do and how much of it this process may use (Linux)."""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

InstructionSet = Literal["sse", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "amx"]

# oneDNN, the kernel library inside OpenVINO, obeys this variable: a smaller CPU can be stood in for.
CAP_VARIABLE = "ONEDNN_MAX_CPU_ISA"

# Smallest first: (what it is called here, the cpuinfo flags it needs, oneDNN's names for a cap at it).
_SETS: tuple[tuple[InstructionSet, frozenset[str], frozenset[str]], ...] = (
    ("avx2", frozenset({"avx2", "fma"}), frozenset({"AVX2"})),
    ("avx2_vnni", frozenset({"avx_vnni"}), frozenset({"AVX2_VNNI", "AVX2_VNNI_2"})),
    ("avx512", frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}), frozenset({"AVX512_CORE"})),
    (
        "avx512_vnni",
        frozenset({"avx512_vnni"}),
        frozenset({"AVX512_CORE_VNNI", "AVX512_CORE_BF16", "AVX512_CORE_FP16"}),
    ),
    ("amx", frozenset({"amx_int8", "amx_tile"}), frozenset({"AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16"})),
)


@dataclass(frozen=True)
class CPU:
    """The CPU as this process sees it."""

    name: str
    instruction_set: InstructionSet
    threads: int

    @property
    def has_int8_dot_product(self) -> bool:
        """True if 8-bit products are summed in 32 bits (VNNI, AMX); older CPUs saturate at 16 bits."""
        return self.instruction_set in ("avx2_vnni", "avx512_vnni", "amx")


@cache
def this_cpu() -> CPU:
    """Return the CPU of this machine, seen through `ONEDNN_MAX_CPU_ISA` if that is set."""
    fields = _cpuinfo()
    flags = frozenset(fields.get("flags", "").split())
    found = [entry for entry in _SETS if entry[1] <= flags]
    cap = os.environ.get(CAP_VARIABLE, "").upper()
    limit = next((i for i, entry in enumerate(_SETS) if cap in entry[2]), len(_SETS))
    allowed = [entry[0] for entry in found if _SETS.index(entry) <= limit]
    return CPU(fields.get("model name", "unknown"), allowed[-1] if allowed else "sse", usable_threads())


def usable_threads() -> int:
    """Return how many threads can really run at once: the affinity mask, cut down to the cgroup's CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cgroup_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the CPUs that the cgroup (v2 or v1) allows, the tightest of the whole chain, or None without a limit."""
    quotas = []
    for line in _lines(membership):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            quotas += [_v2_quota(folder / "cpu.max") for folder in _chain(root, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_v1_quota(folder) for folder in _chain(root / "cpu", path)]
    known = [quota for quota in quotas if quota is not None]
    return min(known) if known else None


def _chain(root: Path, path: str) -> list[Path]:
    """The group's folder and all above it; inside a container the path may not exist, the root still counts."""
    folder = root / path.strip("/")
    return [folder, *(parent for parent in folder.parents if parent == root or root in parent.parents)]


def _v2_quota(path: Path) -> float | None:
    words = " ".join(_lines(path)).split()
    if len(words) != 2 or words[0] == "max":
        return None
    return _ratio(words[0], words[1])


def _v1_quota(folder: Path) -> float | None:
    quota, period = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    try:
        value = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _cpuinfo() -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in _lines(Path("/proc/cpuinfo")):
        if not line.strip():
            break  # one processor is enough
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields
