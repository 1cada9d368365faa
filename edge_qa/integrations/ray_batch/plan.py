"""How many workers of how many threads a cluster has room for; a plan that would wait for ever is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_qa.errors import InputError, ResourceError


@dataclass(frozen=True)
class Plan:
    """So many workers, each with a model of its own and so many cores."""

    workers: int
    threads: int


def checked_plan(workers: int | None, threads: int, free_cpus: Sequence[float], *, spare: int = 0) -> Plan:
    """Return the plan, with as many workers as there is room for where `workers` is None.

    free_cpus: of each node. spare: CPUs that something else needs meanwhile.
    A worker does not start before its CPUs are free, and Ray neither fails nor says so (ray#44687).
    Raises InputError for numbers below 1, ResourceError for a plan that does not fit.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"got {value}", where=name, wanted="at least 1")
    total = int(sum(free_cpus))
    room = sum(int(cpus) // threads for cpus in free_cpus)
    # What is left over on the nodes when they are full serves, too.
    most = min(room, (total - spare) // threads)
    wanted = 1 if workers is None else workers
    if wanted <= most:
        return Plan(most if workers is None else workers, threads)
    need = wanted * threads
    nodes = " + ".join(str(int(cpus)) for cpus in free_cpus) or "0"
    reading = f" and {spare} for what reads and writes" if spare else ""
    raise ResourceError(
        f"{_count(wanted, 'worker')} of {_count(threads, 'thread')} need {_count(need, 'CPU')}{reading}, "
        f"and the cluster has {nodes} free",
        where="plan",
        remedy="ask for fewer `workers` or `threads`, or wait for other jobs",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
