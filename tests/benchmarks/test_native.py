"""`python -m benchmarks.native`: what goes into the results file, and processes that measure themselves."""

import json
import threading
from pathlib import Path

import pytest

from benchmarks.native import processes
from benchmarks.native.__main__ import Measurement, keep
from benchmarks.native.models import _thinned
from benchmarks.native.speed import cycles_per_ms
from benchmarks.side_by_side.contenders import CONTENDERS
from benchmarks.side_by_side.environments import SPECS, kernel_sources

SMALL = Path(__file__).resolve().parents[2] / "examples" / "models" / "minilm-squad-small-int8"


def test_a_measurement_replaces_the_one_of_its_title(tmp_path):
    file = tmp_path / "native.json"
    for title, cell in (("A", "1"), ("B", "2"), ("A", "3")):
        keep(file, Measurement(title, "what", ["c"], [[cell]]), "python -m benchmarks.native a")
    kept = json.loads(file.read_text())["measurements"]
    assert [(one["title"], one["rows"]) for one in kept] == [("A", [["3"]]), ("B", [["2"]])]
    assert set(kept[0]) == {"title", "what", "machine", "date", "command", "columns", "rows"}
    keep(file, Measurement("B", "what", ["c"], [["2"]], ["a note"]), "python -m benchmarks.native b")
    assert json.loads(file.read_text())["measurements"][1]["notes"] == ["a note"]


def test_a_process_tells_its_own_peak():
    told = processes.memory(SMALL, "openvino", 0, 1)
    assert 60 < told["first_mb"] < 1000
    assert 0 < told["first_answer_s"] < 60


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="none-such"):
        processes.memory(tmp_path / "none-such", "openvino", 0, 1)


def test_busy_neighbours_are_gone_afterwards():
    children = Path("/proc/self/task") / str(threading.get_native_id()) / "children"
    if not children.exists():
        pytest.skip("Linux does not list children here")
    before = set(children.read_text().split())
    with processes.busy(2):
        assert len(set(children.read_text().split()) - before) == 2
    assert set(children.read_text().split()) <= before


def test_the_smallest_blocks_go():
    import numpy as np

    weight = np.arange(1, 41, dtype=np.float32).reshape(8, 5)
    thin = _thinned(weight)
    # 10 blocks of 4 x 1, the two largest stay: the last two columns of the lower four rows.
    assert np.count_nonzero(thin) == 8
    np.testing.assert_array_equal(thin[4:, 3:], weight[4:, 3:])


def test_the_time_stamp_counter_has_a_frequency():
    try:
        found = cycles_per_ms()
    except OSError:
        pytest.skip("this CPU does not say")
    assert 5e5 < found < 6e6


def test_native_rows_have_an_environment_with_the_kernels():
    rows = [contender for name, contender in CONTENDERS.items() if name.startswith("edge-qa-native")]
    assert len(rows) == 2
    assert all(SPECS[contender.environment].kernels for contender in rows)
    names = {path.name for path in kernel_sources()}
    assert {"CMakeLists.txt", "encoder.h", "edge_qa_kernels.h", "__init__.py"} <= names
    assert not any("build" in path.parts for path in kernel_sources())
