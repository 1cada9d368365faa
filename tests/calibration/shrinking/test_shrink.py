"""Shrunk checkpoints, with gradients that are given: no torch is needed here."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from calibration.shrinking import shrink as shrink_module
from calibration.shrinking.mask_gradients import MaskGradients
from calibration.shrinking.shrink import shrink
from calibration.shrinking.speed_search import fastest_within
from calibration.shrinking.structure_costs import multiply_add_costs
from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import CheckpointError, InputError
from edge_qa.evaluation.dataset import read_dataset
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.command import Command
from tests.support.places import GOLDEN_FILES

FAMILIES = GOLDEN_FILES / "families"
SIZES = {"layers": 2, "hidden": 32, "heads": 4, "ffn": 64}
CONTEXT = "ada wrote the first book in london of the iron bridge a city on the water . the engine is built of stone ."


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "model"
    write_checkpoint(folder, tensors=bert_tensors(**SIZES), config=bert_config(**SIZES))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    questions = [("who wrote it ?", "ada"), ("where is the bridge ?", "london"), ("what is built ?", "engine")]
    lines = [
        {"question": question, "context": CONTEXT, "answers": [answer], "id": f"{number}-{answer}"}
        for number in range(4)
        for question, answer in questions
    ]
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def gradients(monkeypatch) -> None:
    """In place of torch: the later head or neuron always matters more, and so does the later layer."""

    def mask_gradients(encoder, windows, *, progress):
        def rising(sizes):
            return tuple(
                np.outer(np.ones(len(windows)), (index + 1) * np.linspace(0.01, 1, size)).astype(np.float32)
                for index, size in enumerate(sizes)
            )

        progress("importance", len(windows), len(windows))
        return MaskGradients(
            rising([layer.attention.heads for layer in encoder.layers]),
            rising([layer.feed_forwards[0].width for layer in encoder.layers]),
        )

    module = ModuleType("calibration.shrinking.fisher")
    module.mask_gradients = mask_gradients
    monkeypatch.setitem(sys.modules, "calibration.shrinking.fisher", module)


@pytest.fixture
def table(monkeypatch) -> None:
    """Multiply-adds in place of milliseconds: the same shape on every machine."""
    monkeypatch.setattr(
        shrink_module, "measure_costs", lambda encoder, tokens, precision: multiply_add_costs(encoder, tokens)
    )


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["magnitude", "fisher", "full"])
def test_the_result_costs_what_was_asked_for_and_answers(source, data, tmp_path, gradients, table, method):
    before = files_of(source)
    result = shrink(source, tmp_path / "small", calibration=data, speedup=1.6, method=method)
    assert files_of(source) == before
    encoder = read_encoder(read_checkpoint(source))
    costs = multiply_add_costs(encoder, result.timing.tokens)
    bundle = convert(result.path, tmp_path / "bundle")
    heads, widths = bundle.manifest.model.heads, [sum(layer) for layer in bundle.manifest.model.ffn_widths]
    assert heads == result.structure.heads_after
    assert all(width % 16 == 0 for width in widths)
    spent = costs.of(heads, widths)
    # As near to the budget as one group of neurons.
    assert costs.dense / 1.6 - 16 * 2 * 32 * result.timing.tokens <= spent <= costs.dense / 1.6
    assert result.timing.predicted == pytest.approx(costs.dense / spent)
    assert result.timing.dense_ms > 0
    answer = QuestionAnswerer.load(bundle.path).answer("who wrote it ?", CONTEXT)
    assert answer.text == CONTEXT[answer.start : answer.end] != ""
    config = json.loads((result.path / "config.json").read_text())
    assert config.get("pruned_heads", {}) == {
        str(index): list(heads) for index, heads in enumerate(result.removed_heads) if heads
    }


def test_what_matters_least_goes(source, data, tmp_path, gradients, table):
    result = shrink(source, tmp_path / "small", calibration=data, speedup=1.5, method="fisher")
    small, whole = (read_encoder(read_checkpoint(path)) for path in (result.path, source))
    for index, removed in enumerate(result.removed_heads):
        assert removed == tuple(range(len(removed)))
        width = result.structure.ffn_widths_after[index][0]
        kept = small.layers[index].feed_forwards[0].up.weight[:width]
        np.testing.assert_array_equal(kept, whole.layers[index].feed_forwards[0].up.weight[64 - width :])
    before, after = result.structure.ffn_widths_before, result.structure.ffn_widths_after
    assert before == ((64,), (64,))
    assert after[0] < after[1]  # the first layer's gradients are half as large
    np.testing.assert_array_equal(small.layers[1].attention.output.bias, whole.layers[1].attention.output.bias)


def test_full_refits_and_keeps_the_shape_of_fisher(source, data, tmp_path, gradients, table):
    plain = shrink(source, tmp_path / "plain", calibration=data, speedup=1.5, method="fisher")
    full = shrink(source, tmp_path / "full", calibration=data, speedup=1.5)
    assert full.structure == plain.structure
    assert (plain.refits, len(full.refits)) == ((), 4)
    assert all(refit.after <= refit.before for refit in full.refits)
    assert any(refit.ridge is not None for refit in full.refits)


@pytest.mark.slow
def test_the_same_table_gives_the_same_bytes(source, data, tmp_path, gradients, table):
    first, again, other = (
        files_of(shrink(source, tmp_path / name, calibration=data, speedup=1.5, seed=seed, samples=6).path)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first["model.safetensors"] != other["model.safetensors"]


def test_the_card_says_what_was_done(source, data, tmp_path, gradients, table):
    result = shrink(source, tmp_path / "small", calibration=data, speedup=1.5, samples=5, seed=3)
    card = (result.path / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n# A model\n")
    for words in (
        "Shrunk: 1.50x",
        "--method full",
        f"Heads left by layer: {', '.join(map(str, result.structure.heads_after))}.",
        f"Neurons left: {', '.join(str(layer[0]) for layer in result.structure.ffn_widths_after)}.",
        "5 windows of questions.jsonl",
        read_dataset(data).sha256,
        "seed 3",
        read_checkpoint(source).sha256,
        "Nothing was trained afterwards",
    ):
        assert words in card
    assert Bundle.load(convert(result.path, tmp_path / "bundle").path).manifest.model.licence == "mit"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert", "distilbert-pruned"])
def test_other_families_shrink_too(data, tmp_path, gradients, table, family):
    result = shrink(FAMILIES / family, tmp_path / "small", calibration=data, speedup=1.3)
    model = convert(result.path, tmp_path / "bundle").manifest.model
    assert (model.family, model.heads) == (family.split("-")[0], result.structure.heads_after)


@pytest.mark.parametrize(("family", "why"), [("albert", "share their weights"), ("mobilebert", "have bottlenecks")])
def test_models_that_cannot_shrink_are_refused(data, tmp_path, family, why):
    with pytest.raises(CheckpointError, match=f"cannot be shrunk .its layers {why}.; supported are bert, roberta"):
        shrink(FAMILIES / family, tmp_path / "small", calibration=data, speedup=1.3)
    assert not list(tmp_path.iterdir())


# Options and data that do not fit


def with_a_base(encoder, tokens, precision):
    """A tenth of everything cannot be removed."""
    costs = multiply_add_costs(encoder, tokens)
    return replace(costs, base=costs.dense / 9)


def test_an_impossible_speedup_is_refused(source, data, tmp_path, gradients, monkeypatch):
    monkeypatch.setattr(shrink_module, "measure_costs", with_a_base)
    with pytest.raises(InputError, match=r"speedup 1000: without any head or neuron this model would run 10\.00 times"):
        shrink(source, tmp_path / "small", calibration=data, speedup=1000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"speedup": 1.5, "max_drop": 1.0},
        {"max_drop": 1.0},
        {"speedup": 1.0},
        {"speedup": float("nan")},
        {"speedup": 1.5, "method": "random"},
        {"speedup": 1.5, "samples": 0},
    ],
)
def test_options_that_do_not_fit_are_refused(source, data, tmp_path, options):
    with pytest.raises(InputError, match=r"give either|wanted"):
        shrink(source, tmp_path / "small", calibration=data, **options)


def test_data_without_answers_are_refused(source, tmp_path, gradients, table):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"question": "who ?", "context": CONTEXT}))
    with pytest.raises(InputError, match=r"no question has an answer.*give a SQuAD file with answers"):
        shrink(source, tmp_path / "small", calibration=path, speedup=1.5)
    path.write_text(json.dumps({"question": "who ?", "context": CONTEXT, "answers": ["nobody at all"]}))
    with pytest.raises(InputError, match="no answer stands in the text"):
        shrink(source, tmp_path / "small", calibration=path, speedup=1.5)
    assert shrink(source, tmp_path / "small", calibration=path, speedup=1.5, method="magnitude").path.is_dir()


def test_without_torch_the_extra_is_named(source, data, tmp_path, command, monkeypatch):
    monkeypatch.delitem(sys.modules, "calibration.shrinking.fisher", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = command("shrink", source, tmp_path / "small", "--calibration", data, "--speedup", "1.5")
    assert shown.code == 2
    assert "pip install 'edge-qa[torch]'" in shown.err


# The search under a drop of F1


@pytest.mark.parametrize(
    ("quick", "whole", "wanted"),
    [(3, 3, 3), (5, 5, 5), (0, 0, None), (3, 1, 1), (2, 4, 4), (5, 2, 2), (3, 0, None), (0, 1, 1), (0, 3, 3)],
)
def test_the_fastest_that_passes_is_found(quick, whole, wanted):
    """quick, whole: how many of five speed-ups, 1 to 5, pass each."""
    asked = []

    def passes(speedup):
        asked.append(speedup)
        return speedup <= whole

    assert fastest_within([1, 2, 3, 4, 5], lambda speedup: speedup <= quick, passes) == wanted
    assert len(asked) == len(set(asked))
    assert fastest_within([], lambda speedup: True, lambda speedup: True) is None


@pytest.mark.slow
def test_a_drop_that_is_allowed_finds_a_speedup(source, data, tmp_path, gradients, table, monkeypatch, command):
    monkeypatch.setattr(shrink_module, "_MOST_SPEEDUP", 1.5)
    result = shrink(
        source, tmp_path / "small", calibration=data, evaluation=data, max_drop=100, limit=4, method="fisher"
    )
    assert result.speedup == 1.5  # everything may be lost
    assert (result.before.questions, result.after.questions) == (4, 4)
    assert result.trials[-1].speedup == result.speedup
    assert all(trial.questions == 4 for trial in result.trials)
    assert result.drop.points == pytest.approx(result.before.f1 - result.after.f1)
    said = "judged on the questions that chose what goes: the drop is optimistic"
    assert result.notes[0] == said
    options = ("--calibration", data, "--evaluation", data, "--max-drop", 100, "--limit", 4, "--method", "fisher")
    assert f"\nnote: {said}\n" in command("shrink", source, tmp_path / "b", *options).out
    found = command("shrink", source, tmp_path / "c", *options, "--json").json
    assert found["notes"] == list(result.notes)
    judged_by = {"dataset": "questions.jsonl", "segmentation": "squad", "limit": 4, "max_drop": 100}
    assert {name: found["evaluation"][name] for name in judged_by} == judged_by


def test_a_drop_that_cannot_be_kept_is_a_negative_verdict(
    source, data, tmp_path, gradients, table, command, monkeypatch
):
    real = shrink_module._Judge._score

    def worse(self, answerer, quick):
        found = real(self, answerer, quick)
        scores = replace(found.scores, f1=found.scores.f1 - 5)
        return found if answerer is self.dense else replace(found, scores=scores)

    monkeypatch.setattr(shrink_module._Judge, "_score", worse)
    monkeypatch.setattr(shrink_module, "_MOST_SPEEDUP", 1.1)
    options = ("--calibration", data, "--evaluation", data, "--max-drop", "1", "--limit", "3", "--method", "fisher")
    shown = command("shrink", source, tmp_path / "small", *options)
    assert shown.code == 1
    assert "no speed-up from 1.05 on keeps within 1 points of F1 on questions.jsonl" in shown.err
    assert not list(tmp_path.iterdir())


# The command


def test_the_command_prints_a_table_and_json(source, data, tmp_path, gradients, table, command):
    options = ("--calibration", data, "--speedup", "1.5", "--samples", "6")
    shown = command("shrink", source, tmp_path / "a", *options)
    assert shown.code == 0, shown.err
    assert "a: full, 6 windows of questions.jsonl" in shown.out
    assert "x predicted, " in shown.out
    assert "no attention head" not in shown.out
    rows = shown.out.splitlines()[-2:]
    found = command("shrink", source, tmp_path / "b", *options, "--json").json
    assert [row.split()[3] for row in rows] == [str(heads) for heads in found["structure"]["heads_after"]]
    assert found["path"] == str(tmp_path / "b")
    assert found["costs"]["unit"] == "multiply-adds"
    assert found["timing"]["measured"] == pytest.approx(found["timing"]["dense_ms"] / found["timing"]["shrunk_ms"])
    again = command("shrink", source, tmp_path / "b", *options)
    assert (again.code, "already exists" in again.err) == (4, True)
    assert command("shrink", source, tmp_path / "b", *options, "--force").code == 0
    assert command("shrink", source, tmp_path / "c", "--calibration", data).code == 2
    assert command("shrink", source, tmp_path / "c", *options, "--max-drop", "1").code == 2
    assert command("shrink", source, tmp_path / "c", "--calibration", data, "--speedup", "1").code == 2
    assert command("shrink", source, tmp_path / "c", "--calibration", tmp_path / "none", "--speedup", "2").code == 4
    assert command("shrink", tmp_path / "none", tmp_path / "c", *options).code == 3
    assert not (tmp_path / "c").exists()


def test_a_model_that_is_left_without_heads_is_told(source, data, tmp_path, gradients, table, command):
    shown = command("shrink", source, tmp_path / "a", "--calibration", data, "--speedup", "4", "--samples", "6")
    assert shown.code == 0, shown.err
    assert all(row.split()[3] == "0" for row in shown.out.splitlines()[-2:])
    assert "no attention head is left" in shown.out
