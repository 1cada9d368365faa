"""What the CPU can do and how much of it this process may use (Linux)."""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from edge_qa.system.cgroup import cgroup_quota, read_lines

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


# oneDNN's names for caps below all of these.
_LOWEST_CAPS = frozenset({"SSE41", "AVX"})


@dataclass(frozen=True)
class CPU:
    """The CPU as this process sees it; hidden: what the CPU itself has, where a cap makes it less."""

    name: str
    instruction_set: InstructionSet
    threads: int
    hidden: InstructionSet | None = None

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
    limit = next((i for i, entry in enumerate(_SETS) if cap in entry[2]), -1 if cap in _LOWEST_CAPS else len(_SETS))
    allowed = [entry[0] for entry in found if _SETS.index(entry) <= limit]
    hidden = found[-1][0] if len(allowed) < len(found) else None
    return CPU(fields.get("model name", "unknown"), allowed[-1] if allowed else "sse", usable_threads(), hidden)


def usable_threads() -> int:
    """Return how many threads can really run at once: the affinity mask, cut down to the cgroup's CPU quota."""
    cores = allowed_cores()
    quota = cgroup_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def allowed_cores() -> int:
    """Return how many cores the affinity mask leaves to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in read_lines(Path("/proc/cpuinfo")):
        if not line.strip():
            break  # one processor is enough
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields
