"""Answering with a token-drop budget: chosen at load, in a call, on the command line."""

import json
import shutil

import numpy as np
import pytest

from converters.token_budgets.token_dropping import Keep
from edge_qa import QuestionAnswerer, pipeline
from edge_qa.bench import bench as bench_module
from edge_qa.bench.bench import bench
from edge_qa.bench.fresh_process import run_fresh_process
from edge_qa.errors import BundleError, InferenceError, InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.evaluate import evaluate
from edge_qa.inference.engine import Engine
from tests.support.budgets import bundle_with_budgets
from tests.support.command import Command
from tests.support.tiny import tiny_bundle

QUESTION = "Who described the Analytical Engine?"
TEXT = (
    "The Analytical Engine was described by Ada Lovelace in 1843. Charles Babbage never built it, for want of money "
    "and of patience. His son assembled a part of the mill in 1880, and the Science Museum has it still. "
)


@pytest.fixture(scope="module")
def path(int8_bundle, tmp_path_factory):
    # "last" loses half of the tokens before the last layer only; "all" nearly all of them at once.
    random = np.random.default_rng(0)
    noise = {0: random.normal(0, 1, 384).astype(np.float32)}
    keeps = {"last": Keep((1, 1, 1, 1, 1, 0.5)), "all": Keep((0.1,) * 6, probes=noise)}
    return bundle_with_budgets(int8_bundle, tmp_path_factory.mktemp("budgets") / "bundle", keeps)


@pytest.fixture
def command(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def test_full_is_what_a_bundle_answers_with(path, int8_bundle):
    plain = QuestionAnswerer.load(int8_bundle).answer(QUESTION, TEXT)
    assert QuestionAnswerer.load(path).answer(QUESTION, TEXT) == plain
    assert QuestionAnswerer.load(path, budget="full").answer(QUESTION, TEXT) == plain


def test_a_budget_chosen_at_load_and_in_a_call(path):
    fast = QuestionAnswerer.load(path, budget="all")
    full = QuestionAnswerer.load(path)
    assert fast.answer(QUESTION, TEXT) != full.answer(QUESTION, TEXT)
    assert full.answer(QUESTION, TEXT, budget="all") == fast.answer(QUESTION, TEXT)
    assert fast.answer(QUESTION, TEXT, budget="full") == full.answer(QUESTION, TEXT)
    assert full.answer_many([(QUESTION, TEXT)] * 3, budget="all") == [fast.answer(QUESTION, TEXT)] * 3
    assert next(full.stream([(QUESTION, TEXT)], budget="all")) == fast.answer(QUESTION, TEXT)


def test_a_mild_budget_answers_right(path):
    assert QuestionAnswerer.load(path, budget="last").answer(QUESTION, TEXT).text == "Ada Lovelace"


def test_batches_give_what_single_questions_give(path):
    qa = QuestionAnswerer.load(path, budget="last")
    pairs = [(QUESTION, TEXT[: 150 + 7 * i]) for i in range(12)]
    singles = [qa.answer(*pair) for pair in pairs]
    for many, single in zip(qa.answer_many(pairs), singles, strict=True):
        assert (many.text, many.start) == (single.text, single.start)
        assert many.score == pytest.approx(single.score, abs=1e-3)


def test_the_pipeline_takes_an_answerer_with_a_budget(path):
    qa = pipeline("question-answering", model=QuestionAnswerer.load(path, budget="last"))
    assert qa(question=QUESTION, context=TEXT)["answer"] == "Ada Lovelace"


@pytest.mark.parametrize("call", ["load", "answer"])
def test_a_budget_that_is_not_there_is_named(path, call):
    with pytest.raises(InputError, match=r"budget: got 'quick', this bundle has last, all, full$"):
        if call == "load":
            QuestionAnswerer.load(path, budget="quick")
        else:
            QuestionAnswerer.load(path).answer(QUESTION, TEXT, budget="quick")


def test_a_bundle_without_budgets_says_how_to_make_some(tmp_path):
    with pytest.raises(InputError, match="this bundle has full; edge-qa search-budgets makes faster ones"):
        QuestionAnswerer.load(tiny_bundle(tmp_path), budget="fast")


def test_a_bundle_replaced_meanwhile_is_found_out(path, tmp_path):
    copy = shutil.copytree(path, tmp_path / "copy")
    qa = QuestionAnswerer.load(copy)
    shutil.rmtree(copy)
    shutil.copytree(tiny_bundle(tmp_path), copy)
    with pytest.raises(BundleError, match="replaced by another bundle"):
        qa.answer(QUESTION, TEXT, budget="last")


def test_a_closed_answerer_is_closed_for_every_budget(path):
    qa = QuestionAnswerer.load(path)
    qa.answer(QUESTION, TEXT, budget="last")
    qa.close()
    for budget in ("full", "last"):
        with pytest.raises(InputError, match="closed"):
            qa.answer(QUESTION, TEXT, budget=budget)


def test_the_commands_take_a_budget(command, path, tmp_path):
    text = ("--text", TEXT)
    assert command("ask", path, QUESTION, *text, "--budget", "last").out.startswith("Ada Lovelace")
    assert command("ask", path, QUESTION, *text, "--budget", "quick").code == 4
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": QUESTION, "context": TEXT}) + "\n")
    rows = command("batch", path, tmp_path / "in.jsonl", "--budget", "last").out
    assert json.loads(rows)["answers"][0]["text"] == "Ada Lovelace"
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"question": QUESTION, "context": TEXT, "answers": ["Ada Lovelace"]}) + "\n")
    result = command("evaluate", path, "--data", data, "--budget", "full", "--budget", "last", "--json")
    assert [row["bundle"] for row in result.json] == [str(path), f"{path} (last)"]


def test_inspect_shows_the_budgets(command, path):
    shown = command("inspect", path).out
    assert "last: F1 80.50, 75% of the full latency; tokens kept by layer 100% 100% 100% 100% 100% 50%" in shown
    assert command("inspect", path, "--json").json["budgets"]["all"]["rule"] == "probe"


def test_a_score_says_which_budget_it_is_of(path, questions):
    pairs = [(budget, QuestionAnswerer.load(path, budget=budget)) for budget in ("full", "last")]
    full, last = evaluate(pairs, read_dataset(questions), limit=1, warm_up=False)
    assert json.dumps(full.settings) == (
        '{"max_seq_len": "384", "doc_stride": "128", "max_question_len": "64", "max_answer_len": "30", '
        '"no_answer_threshold": "None", "precision": "f32", "engine": "openvino"}'
    )
    assert last.record().settings == full.settings | {"budget": "last"}


@pytest.mark.parametrize("call", [("evaluate", "--data"), ("bench", "--starts", 0, "--data")])
def test_a_bundle_without_the_budget_is_named_before_anything_is_asked(
    command, path, int8_bundle, questions, call, monkeypatch
):
    monkeypatch.setattr(QuestionAnswerer, "windows", None)
    name, *options = call
    result = command(name, path, int8_bundle, *options, questions, "--budget", "last")
    assert (result.code, result.out) == (4, "")
    assert result.err == (
        f"error: {int8_bundle}: budget: got 'last', this bundle has full; edge-qa search-budgets makes faster ones\n"
    )


@pytest.mark.slow
def test_a_bench_times_every_budget_asked_for(path, monkeypatch):
    models, started = [], []
    compile_model = Engine.__init__

    def watched(self, bundle, **options):
        models.append(options["xml"])
        compile_model(self, bundle, **options)

    def run(bundle, question, context, **options):
        started.append(options["budget"])
        return run_fresh_process(bundle, question, context, **options)

    monkeypatch.setattr(Engine, "__init__", watched)
    monkeypatch.setattr(bench_module, "run_fresh_process", run)
    budgets = ["full", "last", "full"]
    report = bench([path], lengths=[16], questions=1, repeat=1, starts=1, budgets=budgets)
    assert [(one.bundle, one.budget) for one in report.bundles] == [(str(path), "full"), (str(path), "last")]
    assert models == ["model.xml", "model.last.xml"]
    assert started == ["full", "last"]
    with pytest.raises(InferenceError, match="got 'quick', this bundle has last, all, full"):
        run_fresh_process(path, QUESTION, TEXT, budget="quick")
    with pytest.raises(InputError, match="budgets: got none"):
        bench([path], budgets=[])


def test_what_a_bench_prints_names_the_budget(command, path, tmp_path):
    page = tmp_path / "page.html"
    options = ("--lengths", 16, "--questions", 1, "--repeat", 1, "--starts", 0)
    shown = command("bench", path, *options, "--budget", "full", "--budget", "last", "--html", page).out
    rows = [line.partition("  ")[0] for line in shown.splitlines()[-2:]]
    assert rows == [str(path), f"{path} (last)"]
    assert f"{path} (last)" in page.read_text()
    (only,) = command("bench", path, *options, "--budget", "last", "--json").json["bundles"]
    assert only["budget"] == "last"
