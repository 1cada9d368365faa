"""The benchmark's own arithmetic, turns, store, page and table: by hand, without any rival."""

import importlib.util
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import compare, readme
from benchmarks.side_by_side import command
from benchmarks.side_by_side.artefacts import json_lines
from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE, groups_that_fit
from benchmarks.side_by_side.environments import folder_bytes
from benchmarks.side_by_side.figures import changes, medians_by_length, quantile, spread
from benchmarks.side_by_side.page import benchmark_page
from benchmarks.side_by_side.plots import readme_picture, ticks
from benchmarks.side_by_side.questions import by_passages, read_sample
from benchmarks.side_by_side.questions import spread as spread_items
from benchmarks.side_by_side.run import Benchmark
from benchmarks.side_by_side.starts import start_in_turns
from benchmarks.side_by_side.store import Store, read_results
from benchmarks.side_by_side.summary import losses, ratios, rows_of, summarize
from benchmarks.side_by_side.turns import ask_in_turns, bulk_in_turns, chunk_of
from benchmarks.side_by_side.workers import RIVALS, Worker, WorkerError
from edge_qa.dataset import Example, read_dataset
from edge_qa.errors import InputError
from edge_qa.machine import CPUTime

RESULTS = Path(__file__).with_name("results.json")
EXAMPLES = (
    Example("a", "Who?", "Ada wrote it.", ("Ada",)),
    Example("b", "Where?", "It was in Old London.", ("Old London",)),
)
TOKENS = (8, 10)
# Two questions, in the two orders of a pass; "London" alone shares one of two words: F1 2/3, no exact match.
ANSWERS = {
    "0 0 first 0": {
        "edge-qa-int8": {"ms": [20.0, 40.0], "texts": ["Ada", "London"]},
        "optimum-int8": {"ms": [60.0, 60.0], "texts": ["Ada", "Old London"]},
    },
    "0 0 steady 0": {
        "edge-qa-int8": {"ms": [10.0], "texts": ["Ada"]},
        "optimum-int8": {"ms": [20.0], "texts": ["Ada"]},
    },
    "0 0 steady 1": {
        "edge-qa-int8": {"ms": [30.0], "texts": ["London"]},
        "optimum-int8": {"ms": [40.0], "texts": ["Old London"]},
    },
}


@pytest.fixture
def results() -> dict:
    """A finished run: the raw figures of results.json, and the rows made of them."""
    found = json.loads(RESULTS.read_text())
    return found | {"rows": json.loads(json.dumps(summarize(found, ANSWERS, EXAMPLES, TOKENS)))}


# Arithmetic


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 2.5), (0.9, 3.7), (1, 4)])
def test_a_quantile_lies_between_two_values(share, expected):
    assert quantile([4, 1, 3, 2], share) == pytest.approx(expected)


def test_spread_of_a_hundred_and_one_values():
    found = spread([float(value) for value in range(101)])
    assert (found.mean, found.p50, found.p90, found.p99) == pytest.approx((50, 50, 90, 99))


def test_lengths_fall_into_bands_and_thin_bands_are_left_out():
    tokens, milliseconds = [10, 20, 30, 70, 70, 80, 200], [1, 2, 9, 5, 6, 7, 99]
    assert medians_by_length(tokens, milliseconds) == [(20, 2), (pytest.approx(220 / 3), 6)]


def test_a_change_is_relative_to_the_smaller_ratio_whichever_run_has_it():
    found = changes({"a": 2.0, "b": 3.0, "only here": 1.0}, {"a": 2.2, "b": 2.0, "zero": 0.0})
    assert found == {"a": pytest.approx(0.1), "b": pytest.approx(0.5)}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 9, [0, 2, 4, 6, 8, 10]), (82.6, 84.1, [82.5, 83, 83.5, 84, 84.5]), (0, 0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5])],
)
def test_ticks_are_round_and_hold_everything(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_spread_items_takes_both_ends():
    assert spread_items(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread_items([1, 2], 5) == [1, 2]
    assert spread_items([7, 8, 9], 1) == [7]


def test_a_folder_counts_its_files_and_no_links(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert folder_bytes(tmp_path) == 8


# Questions and groups


def test_only_answerable_questions_are_asked(questions):
    sample = read_sample(questions, 7)
    assert (sample.of, len(sample.examples)) == (282, 7)
    assert all(example.answers for example in sample.examples)


def test_questions_without_answers_are_refused(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"question": "Who?", "context": "Ada."}\n')
    with pytest.raises(InputError, match="no question has an answer"):
        read_sample(path, 3)


def test_a_blank_question_is_refused_before_anything_is_asked(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"id": "b7", "question": " ", "context": "Ada.", "answers": ["Ada"]}\n')
    with pytest.raises(InputError, match="question b7: question or text is blank"):
        read_sample(path, 3)


def test_what_calibrates_and_what_is_asked_share_no_passage(questions):
    dataset = read_dataset(questions)
    calibrates, asked = by_passages(dataset)
    assert len(calibrates) + len(asked) == len(dataset)
    passages = [{example.context for example in half} for half in (calibrates, asked)]
    assert [len(found) for found in passages] == [17, 17]
    assert not passages[0] & passages[1]


def test_what_calibrates_is_read_back_as_it_was(questions, tmp_path):
    """Unanswerable questions among them: budgets are scored on it."""
    half, _ = by_passages(read_dataset(questions))
    (tmp_path / "calibration.jsonl").write_bytes(json_lines(half))
    again = read_dataset(tmp_path / "calibration.jsonl")
    kept = [[(one.question, one.context, one.answers) for one in side] for side in (half, again)]
    assert kept[0] == kept[1]
    assert again.version == "v2.0"


def test_every_group_has_the_reference_and_fits_into_memory():
    chosen = list(CONTENDERS.values())
    groups = groups_that_fit(chosen, 3 * 10**9)
    assert len(groups) > 2
    assert all(group[0].name == REFERENCE for group in groups)
    assert all(sum(one.needs_bytes for one in group) <= 3 * 10**9 for group in groups)
    others = [one.name for group in groups for one in group[1:]]
    assert others == [one.name for one in chosen if one.name != REFERENCE]
    assert groups_that_fit(chosen, None) == [chosen]


# Turns


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


# A run over fake contenders

RIVAL = "optimum-int8"


class LoadedWorker(FakeWorker):
    """One that also loads and tells its memory."""

    is_open = True

    def wait_until_loaded(self):
        return {"detail": f"{self.name} as made"}

    def peak_bytes(self):
        return 5


def benchmark_of(folder: Path, able: list[str], log: list, *, sittings: int = 1) -> Benchmark:
    """A benchmark of two contenders over four questions; able: who could be prepared."""
    pairs = [(str(number), "") for number in range(4)]
    sample = SimpleNamespace(pairs=pairs, examples=pairs)
    plan = SimpleNamespace(threads=1, only=(REFERENCE, RIVAL), sample=sample, turn=2, bulk=2, sittings=sittings)
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


@pytest.mark.parametrize(("others", "told"), [(0.05, {}), (1.5, {"it": 1.5})])
def test_what_other_programs_disturb_is_marked(tmp_path, monkeypatch, others, told):
    made = benchmark_of(tmp_path, [], [])
    made.machine = SimpleNamespace(cores=2, threads=2, load_average=0.0)
    monkeypatch.setattr(CPUTime, "others_since", lambda self, begin: others if self.clock >= begin.clock else None)
    with made._watched("it"):
        pass
    assert made.store.results["disturbed"] == told


# The store


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


# From raw figures to rows


def test_rows_by_hand(results):
    ours, rival, failed = rows_of(results)
    assert (ours.times.mean, ours.times.p50, ours.first_mean_ms, ours.ratio) == (20, 20, 30, 1)
    assert (rival.times.mean, rival.ratio, rival.first_mean_ms) == (30, 1.5, 60)
    assert (ours.exact, ours.f1) == (50, pytest.approx((100 + 200 / 3) / 2))
    assert (rival.exact, rival.f1) == (100, 100)
    assert (ours.bulk, rival.bulk) == (100, None)
    assert (ours.start_s, ours.import_s, ours.start_mb, ours.peak_mb, ours.install_mb) == (0.6, 0.2, 150, 200, 300)
    assert rival.install_mb == 1500
    assert (failed.times, failed.failed) == (None, "transformers cannot be installed: No matching distribution")


def test_sittings_are_taken_together(results):
    """The second one is twice as slow for ours: of 10, 30, 20 and 60 ms the median is 25, the mean 30."""
    again = {"edge-qa-int8": {"ms": [20.0, 60.0], "texts": ["Ada", "London"]}}
    results["settings"]["sittings"] = 2
    answers = ANSWERS | {"0 1 steady 0": again, "0 1 first 0": again}
    ours, rival, _ = rows_of(results | {"rows": summarize(results, answers, EXAMPLES, TOKENS)})
    assert (ours.times.p50, ours.times.mean, ours.exact) == (25, 30, 50)
    assert rival.failed == "not measured"


def test_quick_starts_are_counted_three_times_as_often(monkeypatch):
    monkeypatch.setattr("benchmarks.side_by_side.starts.cold_start", lambda make: (make(), 1))
    found = start_in_turns({"quick": lambda: 0.5, "slow": lambda: 5.0}, 2, {})
    assert found["quick"] == {"seconds": [0.5] * 6, "peak_bytes": [1] * 6}
    assert found["slow"]["seconds"] == [5.0] * 2


def test_where_we_lose_is_said(results):
    # Two questions cannot tell 83 from 100.
    assert losses(rows_of(results)) == []
    results["rows"][1]["f1_gap"] = [16.67, 0.5, 30.0]
    assert losses(rows_of(results)) == ["F1: 83.33, behind optimum-intel INT8 (its own quantizer) (100)"]


def test_the_ratios_of_a_run(results):
    label = CONTENDERS["optimum-int8"].label
    found = ratios(rows_of(results))
    assert found[f"{label}: cold start"] == pytest.approx(7 / 0.6)
    assert found[f"{label}: peak memory"] == found[f"{label}: install size"] == 5
    assert found[f"{label}: mean"] == found[f"{label}: milliseconds a question"] == 1.5
    assert len(found) == 5


def test_comparing_runs_flags_what_moved_by_more_than_a_tenth(results, tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(results))
    results["rows"][1]["start_s"] *= 1.2
    paths[1].write_text(json.dumps(results))
    with pytest.raises(SystemExit) as ended:
        compare.main(list(map(str, paths)))
    printed = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1
    assert printed[0].split()[0] == "20.0%"
    assert printed[-1] == "1 of 5 ratios differ by more than 10%"


def test_comparing_runs_flags_who_is_in_one_only(results, tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(results))
    results["rows"][1] |= {"start_s": None, "f1": 40.0}
    results["settings"]["threads"] = 1
    paths[1].write_text(json.dumps(results))
    with pytest.raises(SystemExit) as ended:
        compare.main(list(map(str, paths)))
    printed = capsys.readouterr().out
    assert ended.value.code == 1
    assert "other settings: threads 2 and 1" in printed
    assert "only first  optimum-intel INT8 (its own quantizer): cold start" in printed
    assert "F1 100.00 40.00  optimum-intel INT8" in printed


@pytest.mark.parametrize("rows", [[], [{"label": "x"}]])
def test_what_cannot_be_compared_is_one_line(results, tmp_path, rows):
    (tmp_path / "a.json").write_text(json.dumps(results | {"rows": rows}))
    with pytest.raises(SystemExit) as ended:
        compare.main([str(tmp_path / "a.json")] * 2)
    assert "\n" not in ended.value.code


def test_incomplete_results_leave_the_readme_alone(results, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(results | {"rows": [{"label": "x"}]}))
    file = tmp_path / "README.md"
    file.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    with pytest.raises(SystemExit, match="incomplete"):
        readme.main([str(tmp_path / "a.json"), str(file)])
    assert file.read_text() == f"{readme.BEGIN}\n{readme.END}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json", "README.md"]


def test_the_page_is_well_formed_and_holds_every_figure(results):
    results["rows"][1]["f1_gap"] = [16.67, 0.5, 30.0]
    page = benchmark_page(results).decode()
    text = " ".join("".join(ElementTree.fromstring(page.split("\n", 1)[1]).itertext()).split())
    for expected in (
        "A <CPU> (avx512_vnni)",
        "not measured: transformers cannot be installed",
        "in bulk: RuntimeError: no bulk & no luck",
        "behind optimum-intel INT8",
        "optimum-intel as pip gives it",
        "BERT-base: no disk left",
        "fused attention 2.00 ms",
        "INT8 gains no speed",
        "would overflow",
        "50%",
    ):
        assert expected in text, expected
    assert "http" not in page.replace("http-equiv", "")


def test_the_picture_stands_alone(results):
    root = ElementTree.fromstring(readme_picture(rows_of(results), "two questions"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in ElementTree.tostring(root, encoding="unicode")
    bars = [node for node in root.iter() if node.tag.endswith("rect")]
    assert len(bars) == 6  # two contenders in three panels
    assert float(bars[0].get("width")) == pytest.approx(float(bars[1].get("width")) * 20 / 30, abs=0.02)


def test_the_readme_table_by_hand(results):
    lines = readme.section(results).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[2] == "| Edge QA INT8 | 20.0 | 29.8 | 1.00x as fast | 83.33 | 100.0 | 0.60 s | 200 MB | 300 MB |"
    assert table[3].endswith("| 30.0 | 39.8 | 1.50x as fast | 100.00 | - | 7.00 s | 1000 MB | 1500 MB |")
    assert table[4].startswith("| transformers 4.57 pipeline, torch bf16 | not measured: ")
    assert "2 of 5 answerable questions of two.json" in lines[0]
    assert "2026-11-20" in lines[0]
    assert any("5400 MB as pip gives it" in line for line in lines)


def test_the_readme_command_replaces_only_what_is_between_the_marks(results, tmp_path):
    path, file = tmp_path / "results.json", tmp_path / "README.md"
    path.write_text(json.dumps(results))
    file.write_text(f"above\n{readme.BEGIN}\noutdated\n{readme.END}\nbelow\n")
    for _ in range(2):
        readme.main([str(path), str(file)])
    text = file.read_text()
    assert text.startswith(f"above\n{readme.BEGIN}\n2 of 5")
    assert text.endswith(f".\n{readme.END}\nbelow\n")
    assert "outdated" not in text
    assert f"({readme.PICTURE})" in text
    assert (tmp_path / readme.PICTURE).read_bytes().startswith(b"<svg")


@pytest.mark.parametrize("text", ["nothing", f"{readme.END}\n{readme.BEGIN}", f"{readme.BEGIN * 2}{readme.END}"])
def test_a_file_without_the_marks_is_left_alone(text):
    with pytest.raises(InputError, match="wanted one line"):
        readme.put_between(text, "new", "README.md")


def test_this_readme_has_the_marks():
    text = (command.ROOT / "README.md").read_text()
    assert readme.put_between(text, "new", "README.md") != text


# The command


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--only", "edge-qa-int8,torch"], 4, "--only: got torch, wanted some of edge-qa-int8"),
        (["--bundle", "int9=here"], 4, "wanted NAME=FOLDER"),
        (["--bundle", "int8=/nowhere"], 3, "/nowhere"),
        (["--limit", "0"], 4, "--limit: got 0"),
        (["--turn", "0"], 4, "--turn: got 0"),
        (["--threads", "4096"], 4, "--threads: got 4096, this process may use"),
        (["--squad", "/nowhere.json"], 4, "/nowhere.json: cannot be read"),
        (["--calibration", "/nowhere.json"], 4, "/nowhere.json: cannot be read"),
        (["--checkpoint", "/nowhere"], 3, "/nowhere"),
    ],
)
def test_bad_input_is_one_line(tmp_path, options, code, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([*options, "--output", str(tmp_path / "out")])
    assert ended.value.code == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_another_precision_is_refused(tmp_path, fp16_bundle, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--bundle", f"int8={fp16_bundle}", "--output", str(tmp_path / "out")])
    assert ended.value.code == 4
    assert "its weights are fp16, wanted int8 for int8" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(self):
        self.store.block("a", lambda: 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(Benchmark, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        command.main(["--output", str(tmp_path), "--environments", str(tmp_path / "envs")])
    assert ended.value.code == 130
    assert "goes on from there" in capsys.readouterr().err
    assert read_results(tmp_path / "results.json")["blocks"] == {"a": 1}


# Contenders' processes


@pytest.fixture
def worker(fp16_bundle):
    """Our own runtime, as a contender."""
    job = {"bundle": str(fp16_bundle), "threads": 1, "precision": "f32", "budget": None, "cache": None}
    with Worker(Path(sys.executable), "edge_qa_bundle.py", job, threads=1) as found:
        yield found


def test_a_contender_answers_over_its_pipe(worker):
    assert worker.wait_until_loaded()["loaded"] > 0
    context = "Ada Lovelace\u2028wrote it in 1843, and “Bernoulli” was counted."
    seconds, text = worker.answer("Who wrote it?", context)
    assert 0 < seconds < 10
    assert text == "Ada Lovelace"
    seconds, texts = worker.answer_many([("When was it written?", context), ("Who wrote it?", context)])
    assert texts == ["1843", "Ada Lovelace"]
    assert 50e6 < worker.peak_bytes() < 2e9
    # What cannot be asked is one line, and the next question is answered all the same.
    with pytest.raises(WorkerError, match="InputError: question is empty"):
        worker.answer("", context)
    with pytest.raises(WorkerError, match="got the request 'dance'"):
        worker.request({"do": "dance"})
    assert worker.answer("When was it written?", context)[1] == "1843"
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(WorkerError, match="killed by signal 9"):
        worker.answer("Who?", context)


def test_a_contender_that_cannot_load_says_why(tmp_path):
    job = {"bundle": str(tmp_path / "no-bundle"), "threads": 1, "precision": "f32", "budget": None, "cache": None}
    with (
        Worker(Path(sys.executable), "edge_qa_bundle.py", job, threads=1) as worker,
        pytest.raises(WorkerError, match=r"BundleError: .*no-bundle"),
    ):
        worker.wait_until_loaded()


def test_what_a_library_prints_does_not_reach_the_protocol(tmp_path):
    script = tmp_path / "noisy.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(RIVALS)!r})\n"
        "from protocol import serve\n"
        "class Noisy:\n"
        "    def __init__(self, job): print('hello'); __import__('os').system('echo from a child')\n"
        "    def answer(self, question, context): print('working'); self.seconds = 0.25; return question\n"
        "serve(Noisy)\n"
    )
    with Worker(Path(sys.executable), str(script), {}, threads=1) as worker:
        worker.wait_until_loaded()
        assert worker.answer("Who?", "") == (0.25, "Who?")


# The loop around a bare model


@pytest.fixture(scope="module")
def squad_loop():
    spec = importlib.util.spec_from_file_location("squad_loop", RIVALS / "squad_loop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTEXT = "abcdef"


def window(first):
    """[CLS] q [SEP] and three tokens of one letter each, from place `first` of the context, then [SEP]."""
    offsets = [(0, 0), (0, 1), (0, 0), *((first + place, first + place + 1) for place in range(3)), (0, 0)]
    return SimpleNamespace(
        ids=[1, 5, 2, 7, 8, 9, 2],
        attention_mask=[1] * 7,
        type_ids=[0, 0, 0, 1, 1, 1, 1],
        offsets=offsets,
        sequence_ids=[None, 0, None, 1, 1, 1, None],
    )


def test_the_best_span_over_all_windows_lies_in_the_context(squad_loop):
    windows = [window(0), window(3)]
    start, end = np.zeros((2, 7), np.float32), np.zeros((2, 7), np.float32)
    start[0, 0] = end[0, 0] = 9  # [CLS] is no answer
    start[0, 5], end[0, 3] = 5, 5  # the end before the start is none
    start[1, 3], end[1, 4] = 3, 4  # 7 in all: "d" to "e"
    assert squad_loop.best_text(CONTEXT, windows, start, end) == "de"


def test_windows_are_padded_to_the_longest(squad_loop):
    short = window(0)
    short.ids, short.attention_mask, short.type_ids = [1, 2], [1, 1], [0, 1]
    arrays = squad_loop.SquadLoop(None, None).batch([short, window(0)])
    assert arrays["input_ids"].tolist() == [[1, 2, 0, 0, 0, 0, 0], [1, 5, 2, 7, 8, 9, 2]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0], [1] * 7]
    assert arrays["token_type_ids"].dtype == np.int64


def test_in_bulk_every_question_gets_its_own_windows(squad_loop):
    def logits(arrays):
        assert len(arrays["input_ids"]) <= squad_loop.BATCH
        scores = np.zeros(arrays["input_ids"].shape, np.float32)
        scores[:, 3] = 1  # every window answers with its first letter
        return scores, scores

    loop = squad_loop.SquadLoop(lambda question, context: [window(int(question))], logits)
    pairs = [(str(number % 3), CONTEXT) for number in range(11)]
    assert loop.answer_many(pairs) == [CONTEXT[number % 3] for number in range(11)]
    assert loop.answer_many(pairs) == [loop.answer(*pair) for pair in pairs]
