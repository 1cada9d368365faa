"""The machine that figures were measured on: CPU, cores, versions, and how busy it was."""

import os
import platform
import time
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from edge_qa import __version__
from edge_qa.system.cgroup import cgroup_quota, read_lines
from edge_qa.system.cpu import CAP_VARIABLE, InstructionSet, allowed_cores, this_cpu

_PACKAGES = ("openvino", "tokenizers", "numpy")


@dataclass(frozen=True)
class Machine:
    """A machine as this process sees it.

    instruction_set: what is used; hidden_instruction_set: what the CPU has beyond the cap, if one is set.
    cores: of the machine; allowed_cores: by the affinity mask; quota: CPUs by control groups.
    threads: how many one inference uses. load_average: processes that ran or waited in the last minute.
    """

    cpu: str
    instruction_set: InstructionSet
    hidden_instruction_set: InstructionSet | None
    cap: str | None
    cores: int
    allowed_cores: int
    quota: float | None
    threads: int
    system: str
    python: str
    packages: dict[str, str]
    load_average: float


def measured_here() -> str:
    """Return today's date, this machine and the versions, in one line for the end of a page."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{date.today().isoformat()}; {machine.cpu} ({machine.instruction_set}), {machine.threads} threads; {versions}"
    )


def this_machine(threads: int | None = None) -> Machine:
    """Describe this machine; threads: as asked for, or None for all that the process may use."""
    cpu = this_cpu()
    return Machine(
        cpu=cpu.name,
        instruction_set=cpu.instruction_set,
        hidden_instruction_set=cpu.hidden,
        cap=os.environ.get(CAP_VARIABLE) or None,
        cores=os.cpu_count() or 1,
        allowed_cores=allowed_cores(),
        quota=cgroup_quota(),
        threads=threads or cpu.threads,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={"edge-qa": __version__} | {name: _version(name) for name in _PACKAGES},
        load_average=round(os.getloadavg()[0], 2),
    )


@dataclass(frozen=True)
class CPUTime:
    """Seconds: on the clock, of all cores busy with anything, and of this process with its ended children."""

    clock: float
    all_programs: float | None
    own: float

    @classmethod
    def now(cls) -> "CPUTime":
        """Read the clocks."""
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return cls(time.monotonic(), _busy_seconds(), own)

    def others_since(self, begin: "CPUTime") -> float | None:
        """Return how many cores other programs kept busy on average since `begin`; None where not known."""
        elapsed = self.clock - begin.clock
        if self.all_programs is None or begin.all_programs is None or elapsed <= 0:
            return None
        return max(0.0, (self.all_programs - begin.all_programs - (self.own - begin.own)) / elapsed)


# What is said where `is_disturbed`.
DISTURBED = "the machine was busy with something else: times are longer than they need be; the ratios hold better"


def is_disturbed(others: float | None, machine: Machine) -> bool:
    """Return True if other programs left fewer cores than the threads that were timed.

    others: cores they kept busy; a tenth of a thread is no disturbance.
    """
    busy = machine.load_average if others is None else others
    return machine.cores - busy < 0.9 * machine.threads


def _busy_seconds(path: Path = Path("/proc/stat")) -> float | None:
    """User, nice, system, interrupts, and what the hypervisor gave to others; not idle, not waiting for disks."""
    words = next((line.split() for line in read_lines(path) if line.startswith("cpu ")), [])
    if len(words) < 9:
        return None
    user, nice, system, _idle, _wait, irq, softirq, stolen = map(int, words[1:9])
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
