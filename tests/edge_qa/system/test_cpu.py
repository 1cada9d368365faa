"""The share of the machine that a process may use."""

from pathlib import Path

import pytest

from edge_qa.system.cpu import cgroup_quota, this_cpu, usable_threads


def group(tmp_path: Path, membership: str, files: dict[str, str]) -> float | None:
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return cgroup_quota(tmp_path / "fs", tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"app/cpu.max": "150000 100000\n"}, 1.5),
        ({"app/cpu.max": "max 100000\n"}, None),
        ({"app/cpu.max": "max 100000\n", "cpu.max": "50000 100000\n"}, 0.5),
        ({"app/cpu.max": "200000 100000", "cpu.max": "400000 100000"}, 2.0),
        ({"cpu.max": "300000 100000"}, 3.0),  # inside a container the named group may not be visible
        ({"app/cpu.max": "garbage"}, None),
        ({}, None),
    ],
)
def test_version_2(tmp_path, files, quota):
    assert group(tmp_path, "0::/app\n", files) == quota


def test_version_1(tmp_path):
    files = {"cpu/app/cpu.cfs_quota_us": "250000\n", "cpu/app/cpu.cfs_period_us": "100000\n"}
    assert group(tmp_path, "4:cpu,cpuacct:/app\n3:memory:/app\n", files) == 2.5


def test_version_1_without_a_limit(tmp_path):
    files = {"cpu/app/cpu.cfs_quota_us": "-1\n", "cpu/app/cpu.cfs_period_us": "100000\n"}
    assert group(tmp_path, "4:cpu:/app\n", files) is None


def test_threads_are_at_least_one_and_at_most_the_quota(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for quota, threads in ((None, 8), (0.2, 1), (1.5, 2), (64.0, 8)):
        monkeypatch.setattr("edge_qa.system.cpu.cgroup_quota", lambda quota=quota: quota)
        assert usable_threads() == threads


@pytest.mark.parametrize(
    ("flags", "cap", "found", "vnni"),
    [
        ("avx2 fma", "", "avx2", False),
        ("avx2 fma avx_vnni", "", "avx2_vnni", True),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq", "", "avx512", False),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "", "avx512_vnni", True),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "AVX512_CORE", "avx512", False),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "avx2", "avx2", False),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni amx_int8 amx_tile", "", "amx", True),
        ("sse4_1", "", "sse", False),
    ],
)
def test_the_instruction_set_follows_the_flags_and_the_cap(monkeypatch, flags, cap, found, vnni):
    monkeypatch.setattr("edge_qa.system.cpu._cpuinfo", lambda: {"flags": flags, "model name": "test"})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    this_cpu.cache_clear()
    try:
        assert this_cpu().instruction_set == found
        assert this_cpu().has_int8_dot_product is vnni
    finally:
        this_cpu.cache_clear()
