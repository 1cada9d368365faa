"""A cluster of two nodes on this machine, one of which dies midway.

EDGE_QA_RAY_LINES=20000 asks so many questions, of the full SQuAD files beside the checkout.
"""

import gzip
import json
import os
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported
pytest.importorskip("ray", reason="the extra ray is not installed")

import ray
from ray.cluster_utils import Cluster

from edge_qa.evaluation.rows import stream_rows
from edge_qa.integrations.ray_batch.batch import batch_on_ray
from edge_qa.integrations.ray_batch.worker import ModelOptions
from tests.conftest import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
LINES = int(os.environ.get("EDGE_QA_RAY_LINES", "100"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def lines(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if LINES > 1000:
        with gzip.open(request.getfixturevalue("squad_folder") / "dev-v1.1.json.gz") as file:
            rows = list(stream_rows(file, "dev-v1.1.json"))
    else:
        with (ROOT / "examples" / "data" / "questions.json").open("rb") as file:
            rows = list(stream_rows(file, "questions.json"))
    path = tmp_path / "in.jsonl"
    with path.open("w") as file:
        for number, row in enumerate(islice(cycle(rows), LINES)):
            file.write(json.dumps({"id": number, "question": row.question, "context": row.context}) + "\n")
    return path


def test_the_output_is_that_of_one_process_though_a_node_dies(lines, tmp_path):
    command = [sys.executable, "-m", "edge_qa", "batch", str(BUNDLE), str(lines), "--engine", "openvino"]
    expected = subprocess.run(command, capture_output=True, cwd=ROOT, check=True).stdout
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20},
    )
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False)
    gone = False

    def end_a_node(stage: str, done: int = 0, total: int = 0) -> None:
        nonlocal gone
        if not gone and done >= LINES // 3:
            cluster.remove_node(node, allow_graceful=False)
            gone = True

    try:
        done = batch_on_ray(
            BUNDLE,
            lines,
            tmp_path / "out",
            model=ModelOptions(engine="openvino"),
            workers=2,
            part_lines=max(5, LINES // 40),
            progress=end_a_node,
        )
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert gone
    assert done.lines == LINES
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").glob("part-*.jsonl")))
    assert written == expected
