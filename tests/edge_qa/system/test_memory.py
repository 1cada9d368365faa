"""How much memory a process may use, and has used."""

from pathlib import Path

import numpy as np
import pytest

from edge_qa.system import memory
from edge_qa.system.cgroup import cgroup_memory_limit
from edge_qa.system.memory import Memory, peak_bytes, this_memory


def group(tmp_path: Path, membership: str, files: dict[str, str]) -> int | None:
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return cgroup_memory_limit(tmp_path / "fs", tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"app/memory.max": "536870912\n"}, 512 * 2**20),
        ({"app/memory.max": "max\n"}, None),
        ({"app/memory.max": "max\n", "memory.max": "1073741824\n"}, 2**30),
        ({"app/memory.max": "2147483648", "memory.max": "1073741824"}, 2**30),
        ({"app/memory.max": "1073741824", "memory.max": "2147483648"}, 2**30),
        ({"memory.max": "1048576"}, 2**20),  # inside a container the named group may not be visible
        ({"app/memory.max": "garbage"}, None),
        ({"app/memory.max": "0"}, None),
        ({"app/cpu.max": "150000 100000"}, None),
        ({}, None),
    ],
)
def test_version_2(tmp_path, files, limit):
    assert group(tmp_path, "0::/app\n", files) == limit


def test_version_1_takes_the_tightest_of_the_chain(tmp_path):
    files = {
        "memory/outer/inner/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/outer/memory.limit_in_bytes": "268435456\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "cpu/outer/inner/memory.limit_in_bytes": "1\n",
    }
    assert group(tmp_path, "4:cpu,cpuacct:/outer/inner\n3:memory:/outer/inner\n0::/\n", files) == 256 * 2**20


def test_version_1_without_a_limit(tmp_path):
    files = {"memory/app/memory.limit_in_bytes": "9223372036854771712\n"}
    assert group(tmp_path, "3:memory:/app\n", files) is None


@pytest.mark.parametrize(
    ("available", "limit", "usable"), [(5, 3, 3), (3, 5, 3), (None, 5, 5), (3, None, 3), (None, None, None)]
)
def test_the_tighter_of_machine_and_group_counts(available, limit, usable):
    assert Memory(9, available, limit).usable_bytes == usable


def test_kibibytes_are_read_as_bytes(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal:       2048 kB\nHugePages_Total:       3\nMemAvailable:   1024 kB\n")
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / Path(name).name)
    found = this_memory()
    assert (found.total_bytes, found.available_bytes) == (2 * 2**20, 2**20)


def test_the_peak_stays_after_memory_is_given_back():
    block = np.ones(100 * 2**20, np.uint8)
    during = peak_bytes()
    del block
    assert during is not None
    assert during > 100 * 2**20
    assert peak_bytes() >= during
