"""Time several models side by side in one process: rounds alternate, so that a busy machine slows all alike."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from edge_qa._openvino import ov
from edge_qa.system.cpu import this_cpu

Key = TypeVar("Key")


def median_ms(runs: Mapping[Key, Callable[[], object]], *, rounds: int, warm_up: int = 3) -> dict[Key, float]:
    """Return the median milliseconds of each run over `rounds` rounds; every round runs each of them once."""
    for run in runs.values():
        for _ in range(warm_up):
            run()
    times: dict[Key, list[float]] = {key: [] for key in runs}
    for number in range(rounds):
        # Every other round goes backwards: what ran before leaves its mark on the caches.
        keys = list(runs) if number % 2 else list(reversed(runs))
        for key in keys:
            begin = time.perf_counter()
            runs[key]()
            times[key].append((time.perf_counter() - begin) * 1000)
    return {key: float(np.median(values)) for key, values in times.items()}


def describe_machine() -> str:
    """One line: CPU, threads, instruction set, tools, and how busy the machine was."""
    cpu = this_cpu()
    load = os.getloadavg()[0]
    return (
        f"{cpu.name}, {cpu.threads} threads, {cpu.instruction_set}; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, OpenVINO {ov.get_version().split('-')[0]}; load average {load:.1f}"
    )
