"""Bundle -> bundle with budgets, on a tiny bundle; times are set by hand, because a test of them would be of luck."""

import itertools
import json
import re
from dataclasses import fields, replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from calibration.cli.search_budgets import standing_line
from calibration.statistics.bootstrap import Drop
from calibration.token_budgets import measure as measure_module
from calibration.token_budgets import search_budgets as search_module
from calibration.token_budgets.options import BudgetSearchOptions
from calibration.token_budgets.page import budgets_page
from calibration.token_budgets.questions import draw_questions
from calibration.token_budgets.report import Finalist, Standing, choose_budgets, pick_finalists
from calibration.token_budgets.search_budgets import relative_median, search_budgets
from calibration.token_budgets.trials import Trial
from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, CalibrationError, InputError, ResourceError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.evaluate import evaluate
from edge_qa.evaluation.squad_metric import normalize_answer
from edge_qa.inference.engine import Engine
from tests.support.command import Command
from tests.support.small_data import answers_of, write_questions
from tests.support.tiny import tiny_bundle

SMALL = {"questions": 12, "samples": 10, "population": 3, "generations": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny bundle of 2 layers, and questions whose answers are its own: it scores 100."""
    folder = tmp_path_factory.mktemp("budgets")
    bundle = tiny_bundle(folder)
    answer = answers_of(bundle)
    return SimpleNamespace(
        bundle=bundle,
        calibration=write_questions(folder / "calibration.jsonl", answer=answer, every=2),
        evaluation=write_questions(folder / "evaluation.jsonl", answer=answer, every=6, first=1),
        folder=folder,
    )


@pytest.fixture
def fast(monkeypatch):
    """Dropping takes 0.9 of the time, then 0.89 and so on in the search, and 0.7, 0.71 ... at the end."""
    searched, scored = (0.9 - 0.01 * n for n in itertools.count()), (0.7 + 0.01 * n for n in itertools.count())
    monkeypatch.setattr(measure_module, "relative_latency", lambda full, other, inputs: next(searched))
    monkeypatch.setattr(search_module, "relative_median", lambda full, other: (next(scored), 0.0))


def search(files, destination, **options):
    names = {field.name for field in fields(BudgetSearchOptions)}
    chosen = BudgetSearchOptions(**SMALL | {name: options.pop(name) for name in names & options.keys()})
    given = {"max_drop": 90.0, "calibration": files.calibration, "evaluation": files.evaluation, **options}
    return search_budgets(files.bundle, destination, options=chosen, **given)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["probe", "attention"])
def test_a_bundle_with_budgets_is_written_and_answers(files, fast, tmp_path, rule):
    closed = []
    with pytest.MonkeyPatch.context() as patch:
        close = Engine.close
        patch.setattr(Engine, "close", lambda engine: (closed.append(1), close(engine))[1])
        result = search(files, tmp_path / "out", rule=rule)
    # Every budget is freed when it was measured, scored, or checked.
    assert len(closed) == len(result.trials) + len(result.finalists) + 2 * len(result.budgets)
    written, source = Bundle.load(tmp_path / "out"), Bundle.load(files.bundle)
    assert written.manifest == result.manifest
    assert written.model_xml == source.model_xml
    assert written.model_bin.tobytes().startswith(source.model_bin.tobytes())
    assert "fast" in result.budgets
    assert {"fast"} <= set(written.manifest.budgets) <= {"fast", "balanced"}
    budget = written.manifest.budgets["fast"]
    assert (budget.rule, budget.step) == (rule, 8)
    assert budget.relative_latency == 0.7
    assert budget.keep[-1] < 1
    assert budget.keep == result.finalists[result.budgets["fast"]].trial.shares

    answerers = [(name, QuestionAnswerer(written, budget=name)) for name in ("full", "fast")]
    full, scored = evaluate(answerers, read_dataset(files.evaluation), warm_up=False)
    assert full.scores.f1 == 100
    assert scored.scores.f1 == pytest.approx(budget.f1, abs=1e-4)
    assert scored.predictions != full.predictions

    step = written.manifest.lineage[-1]
    assert (step.recipe, step.source) == ("search-budgets", source.manifest.digest)
    assert step.options["rule"] == rule
    assert step.options["samples"] == ("10" if rule == "probe" else "0")
    assert step.options["questions"] == "12"
    assert step.options["calibration_sha256"] == read_dataset(files.calibration).sha256
    assert written.manifest.scores[-1].f1 == 100


def test_budgets_are_replaced_by_a_new_search(files, fast, tmp_path):
    search(files, tmp_path / "first")
    again = search_budgets(
        tmp_path / "first",
        tmp_path / "second",
        calibration=files.calibration,
        evaluation=files.evaluation,
        max_drop=90,
        options=BudgetSearchOptions(**SMALL, seed=1),
    )
    written = Bundle.load(tmp_path / "second").manifest
    assert set(written.budgets) == set(again.budgets)
    assert {name for name in written.files if name.startswith("model.")} == {
        "model.xml",
        "model.bin",
        *(f"model.{name}.xml" for name in again.budgets),
    }
    assert [step.recipe for step in written.lineage].count("search-budgets") == 2
    assert len(written.scores) == 1  # of the same questions: the latest


def test_what_is_slower_is_not_asked_and_nothing_is_written(files, monkeypatch, tmp_path):
    monkeypatch.setattr(measure_module, "relative_latency", lambda full, other, inputs: 1.25)
    with pytest.raises(CalibrationError, match=r"none of \d budgets was faster .* took 1.25 of its time") as error:
        search(files, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    # Nothing was lost, so that to allow a larger loss would change nothing.
    assert error.value.remedy == "search longer, or with longer texts, where there are more tokens to let go of"


def test_a_larger_drop_is_no_remedy_where_nothing_is_faster_in_the_end(files, fast, monkeypatch, tmp_path):
    monkeypatch.setattr(search_module, "relative_median", lambda full, other: (1.02, 0.0))
    with pytest.raises(CalibrationError, match=r"the closest took 1\.02") as error:
        search(files, tmp_path / "out", max_drop=100.0)
    assert error.value.remedy == "search longer"


def test_nothing_goes_to_the_temporary_folder_of_the_system(files, fast, tmp_path, no_temporary_folder):
    assert search(files, tmp_path / "out").budgets
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_asked_for_is_in_the_json(files, fast, tmp_path, command):
    more = ("--max-drop", 90, "--limit", 5, "--seed", 3, "--minutes", 2, "--json")
    found = command(*arguments(files, tmp_path / "out", *more)).json
    assert (found["max_drop"], found["limit"], found["full"]["scores"]["questions"]) == (90, 5, 5)
    wanted = {"population": 4, "generations": 1, "minutes": 2.0, "seed": 3, "rule": "probe"}
    assert {name: found["options"][name] for name in wanted} == wanted


@pytest.mark.slow
def test_a_state_is_continued_and_a_foreign_one_refused(files, fast, tmp_path, monkeypatch):
    first = search(files, tmp_path / "out", state=tmp_path / "state.json")
    monkeypatch.setattr(measure_module, "relative_latency", lambda *_: pytest.fail("measured again"))
    again = search(files, tmp_path / "again", state=tmp_path / "state.json")
    assert again.trials == first.trials
    with pytest.raises(InputError, match=r"another search \(seed: got 0, wanted 5\)"):
        search(files, tmp_path / "other", state=tmp_path / "state.json", seed=5)


@pytest.mark.slow
def test_a_failed_search_goes_on_with_a_larger_drop_and_asks_nothing_twice(files, fast, tmp_path, monkeypatch):
    state = tmp_path / "state.json"
    with pytest.raises(CalibrationError, match="allow a larger `max_drop`"):
        search(files, tmp_path / "out", state=state, max_drop=0.0)
    known = {tuple(trial["shares"]): trial for trial in json.loads(state.read_text())["trials"]}
    result = search(files, tmp_path / "out", state=state)
    assert result.budgets
    complete = [trial for trial in result.trials if known.get(trial.shares, {}).get("verdict") == "complete"]
    assert [trial.latency for trial in complete] == [known[trial.shares]["latency"] for trial in complete]


def test_a_state_that_cannot_be_written_is_refused_before_anything_is_asked(files, tmp_path, monkeypatch):
    monkeypatch.setattr(search_module, "QuestionAnswerer", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(ResourceError, match="cannot be written"):
        search(files, tmp_path / "out", state=tmp_path / "no-folder" / "state.json")


def test_it_stops_when_the_time_is_up(files, fast, tmp_path, monkeypatch):
    clock = itertools.count(step=7.0)
    monkeypatch.setattr(search_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    standings = []
    result = search(files, tmp_path / "out", minutes=1.0, generations=50, report=standings.append)
    assert result.stopped_early
    assert [standing.done for standing in standings] == list(range(1, len(result.trials) + 1))
    assert len(result.trials) <= 5  # 60 s, and the clock is read twice for each
    assert standings[0].total == 150
    assert 0 <= standings[-1].seconds_left <= 60


def test_an_imported_bundle_is_refused_before_anything_is_asked(files, tmp_path, monkeypatch):
    bundle = Bundle.load(files.bundle)
    imported = replace(bundle, manifest=replace(bundle.manifest, model=replace(bundle.manifest.model, heads=None)))
    monkeypatch.setattr(Bundle, "load", lambda path: imported)
    with pytest.raises(BundleError, match="was imported"):
        search(files, tmp_path / "out")


@pytest.mark.parametrize(
    "options", [{"max_drop": -1.0}, {"max_drop": float("nan")}, {"questions": 0}, {"minutes": 0.0}, {"population": 0}]
)
def test_options_that_cannot_be_used_are_refused(files, tmp_path, options):
    with pytest.raises(InputError, match=next(iter(options))):
        search(files, tmp_path / "out", **options)


class Clock:
    """Stands still except while a model runs."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Model:
    """Takes so many seconds for each input, one number after the other, the last one for ever."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, {name: list(values) for name, values in seconds.items()}
        self.runs = 0

    def run(self, inputs):
        self.runs += 1
        values = self.seconds[inputs]
        self.clock.now += values.pop(0) if len(values) > 1 else values[0]


def test_relative_latency_is_the_median_ratio_once_warm(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure_module, "time", clock)
    full = Model(clock, {"a": [50, 1], "b": [1, 3], "c": [9, 4]})
    other = Model(clock, {"a": [1, 0.5], "b": [80, 2.4], "c": [0.1, 3.2]})
    # Ratios of 0.5, 0.8 and 0.8 in each of three rounds, whatever the first one was.
    assert measure_module.relative_latency(full, other, ["a", "b", "c"]) == pytest.approx(0.8)
    assert full.runs == other.runs == 3 * (1 + measure_module.ROUNDS)


def test_what_is_disturbed_is_measured_for_longer(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure_module, "time", clock)
    full = Model(clock, {"a": [1]})
    other = Model(clock, {"a": [9, 0.2, 0.9, 0.5, 0.7, 0.3, 0.8, 0.6, 0.6, 0.6]})
    assert measure_module.relative_latency(full, other, ["a"]) == pytest.approx(0.6)
    assert full.runs == 1 + measure_module.MOST_ROUNDS


def test_many_questions_are_looked_at_on_the_way():
    assert measure_module.stages(1000) == [30, 100, 300, 1000]
    assert measure_module.stages(100) == [30, 100]
    assert measure_module.stages(7) == [7]


def test_without_answers_the_full_model_is_the_measure(files, tmp_path):
    data = read_dataset(write_questions(tmp_path / "plain.jsonl", every=10))
    answerer = QuestionAnswerer.load(files.bundle)
    questions = draw_questions(answerer, data, range(len(data)))
    assert not questions.labelled
    # An answer such as "." is worth nothing, even against itself, and tells nothing.
    telling = {
        example.id for example in data if normalize_answer(answerer.answer(example.question, example.context).text)
    }
    assert 4 < len(telling) < len(data) == 12
    np.testing.assert_array_equal(questions.full, 1.0)
    np.testing.assert_array_equal(questions.f1(answerer.engine, 3, 7), np.ones(4))
    assert {example.id for example in questions.examples} == telling
    assert [int(example.id) for example in questions.examples] != sorted(map(int, telling))  # the first are a sample
    lengths = [window.tokens for window in questions.windows(5)]
    assert lengths == sorted(lengths)
    assert len(lengths) == 5


def trial(latency, drop, verdict="complete"):
    return Trial((1.0, 0.5), latency, 90.0, drop, 0.1, 100, verdict, 0)


def test_finalists_are_spread_over_the_latencies_of_the_front():
    front = [trial(0.40 + 0.01 * n, 2.0 - 0.04 * n) for n in range(51)]  # 0.40 to 0.90
    latencies = [one.latency for one in pick_finalists(front, 3.0)]
    np.testing.assert_allclose(latencies, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert pick_finalists(front[:2], 3.0) == front[:2]
    # Close together, one of them within the drop: places that the spread leaves are the fastest others'.
    close = [
        trial(latency, 2 - place / 5) for place, latency in enumerate((0.4, 0.401, 0.402, 0.403, 0.404, 0.405, 0.9))
    ]
    assert pick_finalists(close, 3.0) == [*close[:4], *close[5:]]
    # Nothing within the allowance: the one that lost least has a last chance.
    lost = [trial(0.4, 9.0, "beyond the drop"), trial(0.5, 7.0), trial(1.2, None, "not faster")]
    assert pick_finalists(lost, 3.0) == [lost[1]]
    assert pick_finalists(lost[2:], 3.0) == []


@pytest.mark.parametrize(
    ("scored", "wanted"),
    [
        ([(0.5, 2.0), (0.6, 0.9), (0.7, 0.5), (0.8, 0.3), (0.9, 0.1)], {"fast": 1, "balanced": 3}),
        ([(0.6, 1.0), (0.8, 1 / 3)], {"fast": 0, "balanced": 1}),  # the limits themselves are within
        ([(0.6, 0.2), (0.8, 0.1)], {"fast": 0}),  # one is both
        ([(0.6, 0.9), (0.8, 0.5)], {"fast": 0}),  # none within a third
        ([(0.6, 1.1), (1.0, 0.0)], {}),  # full itself is as fast
        ([(0.995, 0.0)], {}),  # faster by less than the error of 0.01
        ([], {}),
    ],
)
def test_fast_is_the_fastest_within_the_drop_and_balanced_within_a_third(scored, wanted):
    finalists = [
        Finalist(trial(0.5, 0.0), 90.0, Drop(drop, drop, drop, 100), latency, 0.01) for latency, drop in scored
    ]
    assert choose_budgets(finalists, 1.0) == wanted


def test_a_line_says_where_the_search_stands():
    standing = Standing(12, 128, (trial(0.5, 1.5), trial(0.8, 0.25)), 340.4)
    assert standing_line(standing, 1.0) == "search: 12/128  front 2, best 1.25x at -0.25 F1  340 s left"
    assert "best none yet" in standing_line(standing, 0.1)


# The command line


@pytest.fixture
def command(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def arguments(files, destination, *more):
    return (
        *("search-budgets", files.bundle, destination),
        *("--calibration", files.calibration, "--evaluation", files.evaluation),
        *("--questions", 12, "--samples", 10, "--population", 4, "--generations", 1, *more),
    )


def test_the_command_writes_a_bundle_and_one_offline_page(files, fast, tmp_path, command):
    page = tmp_path / "page.html"
    result = command(*arguments(files, tmp_path / "out", "--max-drop", 90, "--html", page, "--json"))
    assert (result.code, result.err) == (0, "")
    assert result.json["budgets"]["fast"] in range(len(result.json["finalists"]))
    assert len(result.json["trials"]) <= 4
    assert "predictions" not in result.json["full"]
    text = page.read_text()
    assert not re.search(r"https?://|<script|<link|src=", text.replace("http://www.w3.org", ""))
    assert "fast" in text
    assert text.count("<circle") >= len(result.json["trials"])
    asked = command("ask", tmp_path / "out", "who built it?", "--text", "ada built the bridge.", "--budget", "fast")
    assert asked.code == 0
    refused = command(*arguments(files, tmp_path / "out", "--max-drop", 90))
    assert (refused.code, "already exists" in refused.err) == (4, True)


def test_a_search_says_what_its_verdict_is_worth(files, fast, tmp_path, command, monkeypatch):
    monkeypatch.setattr(search_module, "score_drop", lambda *arguments: Drop(0.5, -1.0, 2.0, 20))
    page = tmp_path / "page.html"
    again = ("--evaluation", files.calibration, "--max-drop", 2)  # the last one counts
    shown = command(*arguments(files, tmp_path / "out", *again, "--html", page)).out
    notes = [
        "judged on the questions that chose the budgets: the drop is optimistic",
        "fast: the 95 % interval of the drop, -1.00 to 2.00, is wider than the 2 points allowed: give more questions",
    ]
    for note in notes:
        assert f"\nnote: {note}\n" in shown
        assert f"<p>Note: {note}.</p>" in page.read_text()


def test_a_gate_that_is_not_met_is_a_verdict(files, fast, tmp_path, command, monkeypatch):
    monkeypatch.setattr(search_module, "relative_median", lambda full, other: (1.5, 0.0))
    result = command(*arguments(files, tmp_path / "out", "--max-drop", 0, "--html", tmp_path / "page.html"))
    assert result.code == 1
    assert re.search(
        r"the closest took 1.50 \(\+-0.00\) of the full model's time.* F1 dropped by \d+\.\d\d .*nothing was written",
        result.err,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    text = (tmp_path / "page.html").read_text()
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert "<p>Nothing was written: no budget is faster than the full model and loses at most 0 F1: " in text
    assert text.count("<circle") > 1


def test_a_search_without_anything_faster_writes_its_page(files, tmp_path, command, monkeypatch):
    monkeypatch.setattr(measure_module, "relative_latency", lambda full, other, inputs: 1.25)
    result = command(*arguments(files, tmp_path / "out", "--max-drop", 1, "--html", tmp_path / "page.html"))
    assert result.code == 1
    text = (tmp_path / "page.html").read_text()
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert re.search(r"none of \d budgets was faster .* took 1.25 of its time", text)
    assert re.search(r"<td>budgets measured</td><td>\d not faster</td>", text)


def test_a_page_may_not_be_what_is_read_or_the_output(files, tmp_path, command):
    taken = command(*arguments(files, tmp_path / "out", "--max-drop", 1, "--html", files.calibration, "--force"))
    assert (taken.code, "is what is read" in taken.err) == (4, True)
    same = command(*arguments(files, tmp_path / "out", "--max-drop", 1, "--html", tmp_path / "out"))
    assert (same.code, "is what is written, too" in same.err) == (4, True)
    state = command(*arguments(files, tmp_path / "out", "--max-drop", 1, "--state", files.evaluation))
    assert (state.code, "is what is read" in state.err) == (4, True)
    json.loads(files.calibration.read_text().splitlines()[0])


def test_the_page_tells_of_every_finalist_and_the_front(files, fast, tmp_path):
    result = search(files, tmp_path / "out")
    text = budgets_page(result).decode()
    for one in result.finalists:
        assert f"{one.f1:.2f}" in text
        assert f"{one.relative_latency:.2f}" in text
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))  # well-formed
    assert text.count("<rect") == 2 * (1 + len(result.finalists) + len(result.front))  # a bar a layer


def test_names_of_neighbours_can_be_read(files, fast, tmp_path):
    """Names of 11 pixels, each left of its dot, and "full" right of its own."""
    result = search(files, tmp_path / "out")
    near = [replace(result.trials[0], latency=0.87 + 0.01 * n, drop=0.3 - 0.05 * n, error=0.1) for n in range(2)]
    finalists = tuple(Finalist(one, 90.0, Drop(0.1, 0.0, 0.2, 9), one.latency, 0.01) for one in near)
    result = replace(result, trials=tuple(near), finalists=finalists, budgets={"fast": 0, "balanced": 1}, full_f1=90.0)
    root = ElementTree.fromstring(budgets_page(result).decode().removeprefix("<!DOCTYPE html>"))
    names = {text.text: text for text in root.iter("text") if text.get("class", "").startswith("strong")}
    (x, y), (_, higher) = ([float(names[name].get(axis)) for axis in "xy"] for name in ("fast", "balanced"))
    assert y - higher >= 11
    assert x > 56 + 30  # inside the axes
    assert names["fast"].get("class") == names["balanced"].get("class") == "strong end"
    assert names["full"].get("class") == "strong"


def test_latencies_are_compared_question_by_question():
    """Ratios 0.5, 0.7 and 0.9; a question that is slow for both counts no more than the others."""
    full = SimpleNamespace(question_ms=(10.0, 1000.0, 20.0))
    other = SimpleNamespace(question_ms=(5.0, 700.0, 18.0))
    median, error = relative_median(full, other)
    assert median == pytest.approx(0.7)
    # 1.96 * 1.2533 * (1.4826 * 0.2) / sqrt(3): the median of the deviations 0.2, 0 and 0.2 is 0.2.
    assert error == pytest.approx(0.4205, abs=1e-4)


def test_a_limit_that_is_no_number_is_wrong_usage(files, tmp_path, command):
    assert command(*arguments(files, tmp_path / "out", "--max-drop", "nan")).code == 2
