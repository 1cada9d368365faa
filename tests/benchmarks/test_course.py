"""The course of a benchmark: turns, sittings, what is kept, and what is taken up again; no rival runs."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.side_by_side.contenders import REFERENCE
from benchmarks.side_by_side.environments import Environment, InstallError, measuring_sources
from benchmarks.side_by_side.questions import read_sample
from benchmarks.side_by_side.run import Benchmark, Plan
from benchmarks.side_by_side.store import Store, read_results
from benchmarks.side_by_side.turns import ask_in_turns, bulk_in_turns, chunk_of
from benchmarks.side_by_side.workers import WorkerError
from converters.checkpoints.checkpoint import read_checkpoint
from edge_qa.errors import InputError, ResourceError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.system.machine import CPUTime


class FakeWorker:
    """Answers with its name, and says who was asked what."""

    def __init__(self, name, log, fails_at=None):
        self.name, self.log, self.fails_at, self.closed = name, log, fails_at, False

    def answer(self, question, context):
        if question == self.fails_at:
            raise WorkerError("out of luck")
        self.log.append((self.name, question))
        return 0.002, f"{self.name} {question}"

    def answer_many(self, pairs):
        return 0.5, [""] * len(pairs)

    def close(self):
        self.closed = True


def test_turns_rotate_and_everybody_gets_every_question():
    log: list = []
    workers = {name: FakeWorker(name, log) for name in "xyz"}
    pairs = [(str(number), "") for number in range(5)]
    found = ask_in_turns(workers, pairs, turn=2, failed={}, first=1)
    assert log == [
        *(("y", "0"), ("y", "1"), ("z", "0"), ("z", "1"), ("x", "0"), ("x", "1")),
        *(("z", "2"), ("z", "3"), ("x", "2"), ("x", "3"), ("y", "2"), ("y", "3")),
        *(("x", "4"), ("y", "4"), ("z", "4")),
    ]
    assert found["y"] == {"ms": [2.0] * 5, "texts": [f"y {number}" for number in range(5)]}


def test_a_contender_that_fails_leaves_and_the_others_go_on():
    log: list = []
    workers = {"x": FakeWorker("x", log), "y": FakeWorker("y", log, fails_at="2")}
    leaving, failed = workers["y"], {}
    found = ask_in_turns(workers, [(str(number), "") for number in range(4)], turn=1, failed=failed)
    assert list(found) == list(workers) == ["x"]
    assert len(found["x"]["ms"]) == 4
    assert failed == {"y": "out of luck"}
    assert leaving.closed


def test_nobody_left_is_no_crash():
    assert ask_in_turns({}, [("Who?", "Ada.")], turn=1, failed={}) == {}


@pytest.mark.parametrize(("turn", "chunk"), [(1, 50), (10, 50), (30, 30), (100, 100), (7, 49)])
def test_a_chunk_is_whole_turns(turn, chunk):
    assert chunk_of(turn) == chunk


def test_bulk_counts_questions_a_second_and_not_the_first_round():
    workers = {"x": FakeWorker("x", [])}
    assert bulk_in_turns(workers, [("a", "b")] * 6, rounds=2, failed={}) == {"x": [12.0, 12.0]}


RIVAL = "optimum-int8"


class LoadedWorker(FakeWorker):
    """One that also loads and tells its memory, for as long as it was not closed."""

    def wait_until_loaded(self):
        return {"detail": f"{self.name} as made"}

    def peak_bytes(self):
        if self.closed:
            raise WorkerError("it was ended before")
        return 5


class NoBulkWorker(LoadedWorker):
    """One that cannot answer many."""

    def answer_many(self, pairs):
        raise WorkerError("out of memory")


def benchmark_of(folder: Path, able: list[str], log: list, *, sittings: int = 1, questions: int = 4) -> Benchmark:
    """A benchmark of two contenders over four questions; able: who could be prepared."""
    pairs = [(str(number), "") for number in range(questions)]
    sample = SimpleNamespace(pairs=pairs, examples=pairs)
    plan = SimpleNamespace(
        threads=1, only=(REFERENCE, RIVAL), sample=sample, turn=2, bulk=2, sittings=sittings, starts=1
    )
    made = Benchmark(plan, Store(folder, {}), lambda text: None)
    made.jobs = {name: {} for name in able}
    made._worker = lambda contender: LoadedWorker(contender.name, log)
    return made


def test_every_sitting_asks_everything_twice_by_new_processes(tmp_path):
    log: list = []
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], log, sittings=2)
    made._questions()
    assert log.count((RIVAL, "3")) == 4
    assert set(made.store.answers) == {f"0 {sitting} {kind} 0" for sitting in "01" for kind in ("first", "steady")}
    assert {f"{what} 0 {sitting}" for what in ("bulk", "memory") for sitting in "01"} < set(
        made.store.results["blocks"]
    )
    assert made.store.results["details"][RIVAL] == f"{RIVAL} as made"


def test_who_could_not_be_prepared_is_asked_by_the_next_call_beside_the_reference(tmp_path):
    benchmark_of(tmp_path, [REFERENCE], [])._questions()
    log: list = []
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], log)
    made._questions()
    assert made.store.results["blocks"]["groups"] == [[REFERENCE], [REFERENCE, RIVAL]]
    assert log.count((RIVAL, "0")) == log.count((REFERENCE, "0")) == 2
    again: list = []
    benchmark_of(tmp_path, [REFERENCE, RIVAL], again)._questions()
    assert again == []


def test_new_processes_see_all_questions_before_the_steady_pass_goes_on(tmp_path):
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], [])
    made._questions()
    del made.store.answers["0 0 steady 0"]
    made.store.set_answers("0 0 first 0", made.store.answers["0 0 first 0"])
    log: list = []
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], log)
    made._questions()
    assert log.count((RIVAL, "0")) == 2  # a warm-up, and the pass that was missing
    assert "bulk 0 0" in made.store.results["blocks"]


def test_new_processes_see_what_earlier_ones_were_asked_before_the_first_pass_goes_on(tmp_path):
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], [], questions=100)
    made._questions()
    kept = {"0 0 first 0": made.store.answers["0 0 first 0"]}
    made.store.answers.clear()
    made.store.answers |= kept
    made.store.set_answers("0 0 first 0", kept["0 0 first 0"])
    log: list = []
    benchmark_of(tmp_path, [REFERENCE, RIVAL], log, questions=100)._questions()
    asked = [question for name, question in log if name == RIVAL]
    wanted = [*range(50), *range(50, 100), *range(100)]  # to warm up, then what was missing, then the steady pass
    assert asked == list(map(str, wanted))


def test_who_fails_in_bulk_keeps_its_memory_and_its_times(tmp_path):
    made = benchmark_of(tmp_path, [REFERENCE, RIVAL], [])
    kinds = {REFERENCE: LoadedWorker, RIVAL: NoBulkWorker}
    made._worker = lambda contender: kinds[contender.name](contender.name, [])
    made._questions()
    assert made.store.results["failed in bulk"] == {RIVAL: "out of memory"}
    assert made.store.results["blocks"]["memory 0 0"] == {REFERENCE: 5, RIVAL: 5}
    assert made.store.results["blocks"]["bulk 0 0"] == {REFERENCE: [4.0] * 3}
    assert made.failed == {}
    assert RIVAL in made.store.answers["0 0 steady 0"]


def test_who_could_not_be_prepared_is_started_by_the_next_call(tmp_path, monkeypatch):
    started: list = []

    def start(makers, runs, failed):
        started.append(list(makers))
        return {name: {"seconds": [1.0], "peak_bytes": [1]} for name in makers}

    monkeypatch.setattr("benchmarks.side_by_side.run.start_in_turns", start)
    for able in ([REFERENCE], [REFERENCE, RIVAL], [REFERENCE, RIVAL]):
        benchmark_of(tmp_path, able, [])._starts()
    assert started == [[REFERENCE], [RIVAL]]
    assert set(read_results(tmp_path / "results.json")["blocks"]["starts"]) == {REFERENCE, RIVAL}


def test_a_part_that_failed_is_measured_by_the_next_call(tmp_path):
    for found in ({"failed": "no disk left"}, {"ms": 5.0}):
        benchmark_of(tmp_path, [], [])._block_again("split", lambda found=found: found)
    made = benchmark_of(tmp_path, [], [])
    made._block_again("split", lambda: pytest.fail("measured twice"))
    assert made.store.results["blocks"]["split"] == {"ms": 5.0}


def test_other_versions_do_not_go_on_with_a_run(tmp_path):
    for version, refused in (("1", False), ("1", False), ("2", True)):
        made = benchmark_of(tmp_path, [], [])
        made.environments = {"edge-qa": Environment("edge-qa", "python", 5, {"openvino": version})}
        if refused:
            with pytest.raises(InputError, match=r"measured with .*'1'.* in edge-qa, installed is .*'2'.*--fresh"):
                made._keep_environments()
        else:
            made._keep_environments()
    assert read_results(tmp_path / "results.json")["environments"]["edge-qa"]["packages"] == {"openvino": "1"}


def test_other_code_that_measures_does_not_go_on_with_a_run(tmp_path, checkpoint, questions, monkeypatch):
    assert {"turns.py", "starts.py", "ceiling.py", "artefacts.py"} <= {path.name for path in measuring_sources()}
    file = tmp_path / "turns.py"
    monkeypatch.setattr("benchmarks.side_by_side.run.measuring_sources", lambda: [file])
    sample = read_sample(questions, 3)
    plan = Plan(
        *(read_checkpoint(checkpoint), read_dataset(questions), sample, (REFERENCE,), tmp_path, {}),
        *(1, 1, 1, 1, 1, 1, False),
    )
    codes = set()
    for content in ("PAUSE = 1", "PAUSE = 1", "PAUSE = 2"):
        file.write_text(content)
        codes.add(plan.settings()["code"])
    assert len(codes) == 2


def test_without_the_reference_nothing_is_measured(tmp_path, monkeypatch):
    def fail(name, place, say):
        raise InstallError("no network")

    monkeypatch.setattr("benchmarks.side_by_side.run.prepare", fail)
    monkeypatch.setattr("benchmarks.side_by_side.run.Artefacts", lambda *args, **options: None)
    made = benchmark_of(tmp_path, [], [])
    made.plan.as_published, made.plan.environments = False, tmp_path
    made.plan.checkpoint = made.plan.calibration = made.plan.given = None
    with pytest.raises(ResourceError, match=r"Edge QA INT8, which all others .*: edge-qa cannot be installed"):
        made._prepare()


@pytest.mark.parametrize(("others", "told"), [(0.05, {}), (1.5, {"it": 1.5})])
def test_what_other_programs_disturb_is_marked(tmp_path, monkeypatch, others, told):
    made = benchmark_of(tmp_path, [], [])
    made.machine = SimpleNamespace(cores=2, threads=2, load_average=0.0)
    monkeypatch.setattr(CPUTime, "others_since", lambda self, begin: others if self.clock >= begin.clock else None)
    with made._watched("it"):
        pass
    assert made.store.results["disturbed"] == told
    # The part that was disturbed stays when an undisturbed one follows it, and if it was interrupted.
    others = 0.7
    with pytest.raises(KeyboardInterrupt), made._watched("more"):
        raise KeyboardInterrupt
    others = 0.6
    with made._watched("more"):
        pass
    others = 0.0
    with made._watched("more"):
        pass
    assert read_results(tmp_path / "results.json")["disturbed"] == told | {"more": 0.7}


def test_a_block_is_measured_once_and_again_with_other_settings(tmp_path):
    store = Store(tmp_path, {"limit": 1})
    assert store.block("a", lambda: [1, 2]) == [1, 2]
    again = Store(tmp_path, {"limit": 1})
    assert again.resumed
    assert again.block("a", lambda: pytest.fail("measured twice")) == [1, 2]
    with pytest.raises(InputError, match=r"other settings \(limit 1 there, 2 now\); give another --output"):
        Store(tmp_path, {"limit": 2})
    assert Store(tmp_path, {"limit": 1}).resumed


def test_a_fresh_run_takes_up_no_old_answers(tmp_path):
    store = Store(tmp_path, {"limit": 1})
    store.block("a", lambda: 1)
    store.set_answers("0 first 0", {"x": {"ms": [1.0], "texts": ["old"]}})
    (tmp_path / "index.html").write_text("old")
    fresh = Store(tmp_path, {"limit": 2}, fresh=True)
    fresh.block("a", lambda: 2)  # and is interrupted here
    assert not (tmp_path / "index.html").exists()
    again = Store(tmp_path, {"limit": 2})
    assert again.resumed
    assert again.answers == {}


def test_damaged_answers_are_refused(tmp_path):
    Store(tmp_path, {}).block("a", lambda: 1)
    (tmp_path / "answers.json").write_text('{"0 steady 0": 5}')
    with pytest.raises(InputError, match="measure again with --fresh"):
        Store(tmp_path, {})


def test_an_interrupted_block_leaves_the_earlier_ones(tmp_path):
    store = Store(tmp_path, {})
    store.block("a", lambda: 1)
    store.set_answers("0 first 0", {"x": {"ms": [1.0], "texts": ["y"]}})

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.block("b", interrupted)
    again = Store(tmp_path, {})
    assert again.results["blocks"] == {"a": 1}
    assert again.answers == store.answers
    assert read_results(tmp_path / "results.json") == again.results


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "got list"),
        ('{"format": 9, "blocks": {}}', "format 9, wanted 2"),
        ('{"format": 2, "blocks": []}', "measure again"),
    ],
)
def test_a_damaged_results_file_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        Store(tmp_path, {})
    assert "\n" not in str(error.value)
