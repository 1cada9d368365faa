"""What the control groups of a container or service leave to this process (Linux, v1 and v2)."""

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")

# Version 1 writes "no limit" as the largest multiple of a page in 63 bits; no machine has a tenth of it.
_NO_LIMIT = 2**60


def cgroup_quota(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> float | None:
    """Return the CPUs that the cgroup (v2 or v1) allows, the tightest of the whole chain, or None without a limit."""
    quotas = []
    for version, folder in _folders("cpu", root, membership):
        quotas.append(_v2_quota(folder / "cpu.max") if version == 2 else _v1_quota(folder))
    known = [quota for quota in quotas if quota is not None]
    return min(known) if known else None


def cgroup_memory_limit(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int | None:
    """Return the bytes that the cgroup (v2 or v1) allows, the tightest of the whole chain, or None without a limit."""
    limits = []
    for version, folder in _folders("memory", root, membership):
        limits.append(_bytes(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")))
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file of the kernel, none if it is not there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _folders(controller: str, root: Path, membership: Path) -> Iterator[tuple[int, Path]]:
    """(version, folder) of the process's group and of all above it, for one controller."""
    for line in read_lines(membership):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from ((2, folder) for folder in _chain(root, path))
        elif controller in controllers.split(","):
            yield from ((1, folder) for folder in _chain(root / controller, path))


def _chain(root: Path, path: str) -> list[Path]:
    """The group's folder and all above it; inside a container the path may not exist, the root still counts."""
    folder = root / path.strip("/")
    return [folder, *(parent for parent in folder.parents if parent == root or root in parent.parents)]


def _v2_quota(path: Path) -> float | None:
    words = " ".join(read_lines(path)).split()
    if len(words) != 2 or words[0] == "max":
        return None
    return _ratio(words[0], words[1])


def _v1_quota(folder: Path) -> float | None:
    quota, period = read_lines(folder / "cpu.cfs_quota_us"), read_lines(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    try:
        value = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _bytes(path: Path) -> int | None:
    try:
        value = int(" ".join(read_lines(path)))
    except ValueError:  # "max", or no such file
        return None
    return value if 0 < value < _NO_LIMIT else None
