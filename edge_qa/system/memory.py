"""How much memory there is, and how much a process has used (Linux)."""

from dataclasses import dataclass
from pathlib import Path

from edge_qa.system.cgroup import cgroup_memory_limit, read_lines


@dataclass(frozen=True)
class Memory:
    """Bytes of the machine, of them free for new programs, and what the control groups allow; None where unknown."""

    total_bytes: int | None
    available_bytes: int | None
    limit_bytes: int | None

    @property
    def usable_bytes(self) -> int | None:
        """What one more process could take; what the group already uses is not known to be given back."""
        known = [amount for amount in (self.available_bytes, self.limit_bytes) if amount is not None]
        return min(known) if known else None


def this_memory() -> Memory:
    """Return the memory of this machine, as this process may use it."""
    fields = _kibibytes(Path("/proc/meminfo"))
    return Memory(fields.get("MemTotal"), fields.get("MemAvailable"), cgroup_memory_limit())


def peak_bytes() -> int | None:
    """Return the most memory that this process ever held in RAM, or None where the kernel does not tell."""
    return _kibibytes(Path("/proc/self/status")).get("VmHWM")


def _kibibytes(path: Path) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file, in bytes."""
    found = {}
    for line in read_lines(path):
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return found
