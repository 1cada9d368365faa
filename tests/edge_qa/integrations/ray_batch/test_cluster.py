"""Batches on real Ray clusters of this machine: equal to one process, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported
pytest.importorskip("ray", reason="the extra ray is not installed")

import ray

from edge_qa.errors import BundleError, InputError, ResourceError
from edge_qa.integrations.ray_batch import cluster as cluster_module
from edge_qa.integrations.ray_batch.batch import batch_on_ray
from edge_qa.integrations.ray_batch.worker import ModelOptions
from tests.conftest import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
QUESTIONS = ROOT / "examples" / "data" / "questions.json"
OPENVINO = ModelOptions(engine="openvino")

# Ray leaves sockets and processes to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def local():
    """A cluster of two CPUs that this process is connected to."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> Path:
    """Lines of questions, some of them without an id, and some that cannot be used."""
    from edge_qa.evaluation.rows import stream_rows

    with QUESTIONS.open("rb") as file:
        rows = list(stream_rows(file, "questions.json"))[:60]
    path = tmp_path_factory.mktemp("in") / "in.jsonl"
    with path.open("w") as file:
        for number, row in enumerate(rows):
            if number % 20 == 7:
                file.write("not json\n\n")
            identity = {} if number % 3 == 0 else {"id": row.id}
            file.write(json.dumps({**identity, "question": row.question, "context": row.context}) + "\n")
    return path


@pytest.fixture(scope="module")
def expected(lines) -> bytes:
    """What one process writes."""
    command = [sys.executable, "-m", "edge_qa", "batch", str(BUNDLE), str(lines), "--engine", "openvino"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 4
    return done.stdout


def joined(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("part-*.jsonl")))


def test_the_parts_are_what_one_process_writes(local, lines, expected, tmp_path):
    done = batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=2, part_lines=10)
    assert joined(tmp_path / "out") == expected
    assert (done.parts, done.lines, done.failed, done.resumed) == (7, 63, 3, 0)
    again = batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=1, part_lines=10, resume=True)
    assert (again.parts, again.resumed) == (7, 7)


def test_a_run_that_was_cut_goes_on_by_parts(local, lines, expected, tmp_path):
    class Stop(Exception):
        pass

    def stop(stage, done=0, total=0):
        assert total == 63
        if done >= 30:
            raise Stop

    with pytest.raises(Stop):
        batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=2, part_lines=10, progress=stop)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert 3 <= len(before) < 7
    done = batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=2, part_lines=10, resume=True)
    assert done.resumed == len(before)
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before
    assert joined(tmp_path / "out") == expected


def kill_a_worker(killed: threading.Event) -> None:
    """Kill the first process that answers, with a signal that it cannot see."""
    while not killed.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::RemoteWorker.answer"):
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    killed.set()
                    return
            except OSError:
                continue
        time.sleep(0.01)


def test_the_part_of_a_worker_that_is_killed_is_done_again(local, lines, expected, tmp_path):
    killed = threading.Event()
    thread = threading.Thread(target=kill_a_worker, args=(killed,))
    thread.start()
    try:
        batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=2, part_lines=10)
    finally:
        seen = killed.is_set()
        killed.set()
        thread.join()
    assert seen
    assert joined(tmp_path / "out") == expected


def test_a_part_that_kills_every_worker_is_named(local, lines, tmp_path, monkeypatch):
    class Deadly(cluster_module.RemoteWorker):
        def answer(self, rows, options):
            if rows[0].id == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().answer(rows, options)

    monkeypatch.setattr(cluster_module, "RemoteWorker", Deadly)
    source = tmp_path / "in.jsonl"
    source.write_text(
        '{"id": "a", "question": "When?", "context": "In 1900."}\n'
        '{"id": "deadly", "question": "When?", "context": "In 1900."}\n'
    )
    with pytest.raises(ResourceError, match=r"in.jsonl: 3 workers died over the 1 lines from line 2 on"):
        batch_on_ray(BUNDLE, source, tmp_path / "out", model=OPENVINO, workers=1, part_lines=1)
    assert (tmp_path / "out" / "part-00000.jsonl").exists()


def test_a_bundle_that_a_node_does_not_have_is_sent(local, lines, expected, tmp_path, monkeypatch):
    class Elsewhere(cluster_module.RemoteWorker):
        def load(self, path, digest, files, options):
            super().load("/nowhere", digest, files, options)

    monkeypatch.setattr(cluster_module, "RemoteWorker", Elsewhere)
    batch_on_ray(BUNDLE, lines, tmp_path / "out", model=OPENVINO, workers=1, part_lines=100)
    assert joined(tmp_path / "out") == expected


def test_an_error_of_a_worker_comes_home_as_it_is(local, lines, tmp_path):
    with pytest.raises(InputError, match="this bundle has no confidence"):
        from edge_qa.evaluation.answered_rows import AnswerOptions

        batch_on_ray(BUNDLE, lines, tmp_path / "out", options=AnswerOptions(min_confidence=0.5), workers=1)
    with pytest.raises((BundleError, InputError), match="budget"):
        batch_on_ray(BUNDLE, lines, tmp_path / "two", model=ModelOptions(budget="none", engine="openvino"), workers=1)


def test_a_plan_that_does_not_fit_is_refused_before_anything_is_written(local, lines, tmp_path):
    begin = time.monotonic()
    with pytest.raises(ResourceError, match="3 workers of 1 thread need 3 CPUs, and the cluster has 2 free"):
        batch_on_ray(BUNDLE, lines, tmp_path / "out", workers=3)
    assert time.monotonic() - begin < 15  # not a measurement: waiting for ever is what it must not do
    assert not (tmp_path / "out").exists()


def test_a_parquet_folder_and_ray_data_say_the_same(local, tmp_path, expected, lines):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from edge_qa.integrations.ray_data import answer_dataset

    rows = [json.loads(line) for line in lines.read_text().splitlines() if line.startswith("{")]
    columns = {name: [row[name] for row in rows] for name in ("question", "context")}
    folder = tmp_path / "in"
    folder.mkdir()
    parquet.write_table(pyarrow.table({name: column[:40] for name, column in columns.items()}), folder / "a.parquet")
    parquet.write_table(pyarrow.table({name: column[40:] for name, column in columns.items()}), folder / "b.parquet")
    batch_on_ray(BUNDLE, folder, tmp_path / "out", model=OPENVINO, workers=2, part_lines=25)
    answers = [json.loads(line)["answers"][0] for line in joined(tmp_path / "out").splitlines()]
    one = [json.loads(line)["answers"][0] for line in expected.splitlines() if b'"answers"' in line]
    assert answers == one

    dataset = ray.data.read_parquet(str(folder))
    found = answer_dataset(dataset, BUNDLE, workers=1, batch_size=16, model=OPENVINO).take_all()
    by_question = {(row["question"], row["context"]): row for row in found}
    for question, context, answer in zip(columns["question"], columns["context"], one, strict=True):
        row = by_question[question, context]
        assert (row["answer"], row["score"], row["start"], row["end"]) == (
            answer["text"],
            answer["score"],
            answer["start"],
            answer["end"],
        )
        assert row["error"] is None
    assert len(found) == len(rows)


def test_ray_data_gets_no_plan_that_leaves_nobody_to_read(local, tmp_path):
    from edge_qa.integrations.ray_data import answer_dataset

    dataset = ray.data.from_items([{"question": "When?", "context": "In 1900."}])
    with pytest.raises(ResourceError, match="2 workers of 1 thread need 2 CPUs and 1 for what reads and writes"):
        answer_dataset(dataset, BUNDLE, workers=2)


def test_ray_data_keeps_rows_that_cannot_be_used(local):
    import numpy as np

    from edge_qa.integrations.ray_data import AnswerBatch

    answer = AnswerBatch(BUNDLE, question="q", context="c", model=OPENVINO)
    batch = {"q": np.array(["When?", " ", None], object), "c": np.array(["In 1900."] * 3, object), "n": np.arange(3)}
    found = answer(batch)
    assert found["answer"].tolist() == ["1900", None, None]
    assert found["start"].tolist() == [3, -1, -1]
    assert found["n"].tolist() == [0, 1, 2]
    assert found["error"][0] is None
    assert "question is empty" in found["error"][1]
    with pytest.raises(InputError, match="has no column q"):
        answer({"c": batch["c"]})
