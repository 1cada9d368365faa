"""What goes into a run and comes out of it: data, teacher's logits, batches, state, the card, errors."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from calibration.data.answered_windows import told_places
from calibration.training.options import Finetune, make_recipe
from calibration.training.train import train
from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from edge_qa.errors import CalibrationError, CheckpointError, InputError, is_out_of_memory
from edge_qa.evaluation.dataset import read_dataset
from tests.support.checkpoints import VOCABULARY, bert_config, bert_tensors, write_checkpoint

torch = pytest.importorskip("torch")

from calibration.training import loop  # noqa: E402
from calibration.training.batches import Batches  # noqa: E402
from calibration.training.data import training_windows  # noqa: E402
from calibration.training.folder import locked  # noqa: E402
from calibration.training.run import Run  # noqa: E402
from calibration.training.state import load_state, save_state  # noqa: E402
from calibration.training.teacher import TeacherLogits  # noqa: E402
from tests.support.places import ROOT  # noqa: E402
from tests.support.tiny_training import BASE, run, tiny_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

CPU = torch.device("cpu")


def windows_of(folder: Path, data: Path, place: Path, **changes):
    source = read_checkpoint(folder / "checkpoint")
    return training_windows(source, read_encoder(source), data, place, **changes)


def squad(path: Path, paragraphs: list[dict]) -> Path:
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def question(number: int, answer: str, start: int) -> dict:
    return {"id": str(number), "question": "who was it?", "answers": [{"text": answer, "answer_start": start}]}


def test_targets_are_where_the_file_says_not_where_the_text_stands_first(folder, tmp_path):
    context = "ada wrote the book. the book was in london."
    data = squad(tmp_path / "d.json", [{"context": context, "qas": [question(0, "book", 24)]}])
    assert [told_places(example) for example in read_dataset(data)] == [[(24, 28)]]
    windows = windows_of(folder, data, tmp_path)
    # [CLS] who was it ? [SEP] is 6 or more tokens; "book" is the seventh of ada wrote the book . the book.
    first, last = windows.targets[0]
    words = [VOCABULARY[number] for number in windows.ids]
    assert words[first] == "book"
    assert words.index("book") < first == last


@pytest.mark.parametrize("answer", [{"text": "book", "answer_start": 24}, {"text": " book", "answer_start": 23}])
def test_targets_of_json_lines_and_of_answers_with_white_space(folder, tmp_path, answer):
    context = "ada wrote the book. the book was in london."
    rows = [{"question": "who was it?", "context": context, "answers": [answer]}]
    rows.append({"question": "half a pair: \ud83d", "context": context, "answers": ["ada"]})
    data = tmp_path / "d.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    windows = windows_of(folder, data, tmp_path)
    assert len(windows) == 1
    words = [VOCABULARY[number] for number in windows.ids]
    assert windows.targets.tolist() == [[words.index("book", words.index("book") + 1)] * 2]


def test_windows_are_made_once(folder, tmp_path, monkeypatch):
    first = windows_of(folder, folder / "data.json", tmp_path)
    monkeypatch.setattr("calibration.training.data._Maker", None)
    again = windows_of(folder, folder / "data.json", tmp_path)
    assert np.array_equal(first.ids, again.ids)
    assert np.array_equal(first.targets, again.targets)
    assert len(first) == 120


def test_no_answer_asks_other_passages_of_the_article(folder, tmp_path):
    plain = windows_of(folder, folder / "data.json", tmp_path)
    mixed = windows_of(folder, folder / "data.json", tmp_path, no_answer=0.25)
    none = (mixed.targets == 0).all(1)
    assert 30 <= none.sum() < 60  # a long passage is two windows
    assert len(mixed) == len(plain) + none.sum()


def test_retrieved_negatives_are_partners_beside_what_the_data_has(folder, tmp_path):
    built = {"context": "ada built the mill.", "qas": [question(0, "ada", 0)]}
    owned = {"context": "who was it that owned the mill? bo.", "qas": [question(1, "bo", 32)]}
    none = {"context": "cy wept.", "qas": [{"id": "2", "question": "when?", "answers": [], "is_impossible": True}]}
    articles = [
        {"title": title, "paragraphs": paragraphs} for title, paragraphs in (("a", [built, owned]), ("b", [none]))
    ]
    data = tmp_path / "d.json"
    data.write_text(json.dumps({"version": "1.1", "data": articles}))
    windows = windows_of(folder, data, tmp_path, no_answer=0.5, negatives="retrieved")
    # Two with their answer, the unanswerable one, and one partner: question 0 or 1 of the other's passage.
    assert len(windows) == 4
    assert (windows.targets == 0).all(1).tolist() == [False, False, True, True]
    assert windows.key != windows_of(folder, data, tmp_path, no_answer=0.5).key


def test_questions_without_an_answer_in_the_data_are_learnt_as_such(folder, tmp_path):
    rows = [question(0, "ada", 0), {"id": "1", "question": "when?", "answers": [], "is_impossible": True}]
    data = squad(tmp_path / "d.json", [{"context": "ada wrote.", "qas": rows}])
    assert windows_of(folder, data, tmp_path, no_answer=1).targets[1].tolist() == [0, 0]
    assert len(windows_of(folder, data, tmp_path)) == 1


def test_an_epoch_has_every_window_once_in_batches_of_like_length(folder, tmp_path):
    windows = windows_of(folder, folder / "data.json", tmp_path)
    batches = Batches(windows, 400, 0, CPU)
    steps = batches.steps(1)
    epoch = [batches[number] for number in range(steps)]
    assert sorted(np.concatenate([batch.places for batch in epoch]).tolist()) == list(range(120))
    assert all(batch.tokens <= 400 for batch in epoch)
    assert sum(int(batch.lengths.sum()) for batch in epoch) / sum(batch.tokens for batch in epoch) > 0.85
    second = np.concatenate([batches[number].places for number in range(steps, batches.steps(2))])
    assert sorted(second.tolist()) == list(range(120))
    assert [batch.places.tolist() for batch in epoch] != [batches[steps + n].places.tolist() for n in range(steps)]
    assert batches.steps(0.5) == round(steps / 2)


def test_the_teacher_is_asked_once(folder, tmp_path):
    windows = windows_of(folder, folder / "data.json", tmp_path)
    calls = []

    def forward(batch):
        calls.append(len(batch.places))
        return batch.ids[:, :, None] * torch.tensor([0.5, -0.25])

    for _ in range(2):
        logits = TeacherLogits(forward, windows, tmp_path / "teacher.f16")
        batch = Batches(windows, 400, 0, CPU)[0]
        found = logits(batch)
        real = torch.arange(batch.ids.shape[1]) < batch.lengths[:, None]
        assert torch.equal(found[real][:, 0], batch.ids[real] * 0.5)
        assert (found[~real] == -1e4).all()
    assert len(calls) == 1


def test_a_result_converts_and_its_card_tells_the_run(folder):
    result = run(folder, "prune-gain", name="told", ratio=0.4, samples=20, steps=4, evaluation=folder / "data.json")
    convert(folder / "told", folder / "told-bundle")
    card = (folder / "told" / "README.md").read_text()
    assert "Trained with edge-qa train (prune-gain)" in card
    assert "ratio 0.4" in card
    assert f"| 4 | {result.curve[-1].loss:.4f} | {result.evaluation.scores.f1:.2f} |" in card
    assert not (folder / "told.state").exists()


def test_the_command(folder):
    command = [sys.executable, "-m", "edge_qa", "train", folder / "checkpoint", folder / "commanded", "--json"]
    command += ["--recipe", "finetune", "--data", folder / "data.json", "--steps", "2", "--device", "cpu"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["steps"], found["data"], found["teacher"]) == (2, "data.json", None)
    assert (found["options"]["steps"], found["options"]["seed"]) == (2, 0)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("finetune", {"limit": 2}),
        ("lengthdrop", {"rule": "probe", "limit": 2}),
        ("prune-gain", {"ratio": 0.4, "samples": 20, "limit": 2}),
    ],
)
def test_nothing_goes_to_the_temporary_folder_of_the_system(folder, tmp_path, no_temporary_folder, recipe, options):
    found = run(folder, recipe, name="apart", steps=1, state=tmp_path, evaluation=folder / "data.json", **options)
    assert found.evaluation is not None
    assert not list(tmp_path.glob(".*"))


# Errors


def test_distil_wants_a_teacher(folder):
    with pytest.raises(InputError, match="give `teacher`"):
        run(folder, "distil")


@pytest.mark.parametrize(
    "options", [{"distillation": 0.5}, {"hidden_weight": 1.0}, {"attention_weight": 1.0}, {"temperature": 3.0}]
)
def test_what_a_teacher_gives_is_refused_without_one(folder, options):
    with pytest.raises(InputError, match="give `teacher`"):
        run(folder, "finetune", **options)


def test_scoring_wants_something_to_score_on(folder):
    with pytest.raises(InputError, match="give `evaluation`"):
        run(folder, "finetune", evaluations=2)


def test_a_teacher_reads_the_same_tokens(folder):
    words = [*VOCABULARY[:-2], VOCABULARY[-1], VOCABULARY[-2]]
    other = write_checkpoint(folder / "reordered", vocabulary=words)
    with pytest.raises(CheckpointError, match=r"reordered: its vocabulary is not that of .*checkpoint"):
        run(folder, "distil", teacher=other)


def test_a_tokenizer_with_more_words_than_the_table(folder, tmp_path):
    other = tiny_checkpoint(tmp_path / "more")
    with (other / "vocab.txt").open("a") as file:
        file.write("surplus\n")
    with pytest.raises(CheckpointError, match="the word embeddings have"):
        run(folder, "finetune", source=other)


def test_a_teacher_of_one_token_type_cannot_read_two(folder, tmp_path):
    other = tiny_checkpoint(tmp_path / "one")
    tensors = load_file(other / "model.safetensors")
    name = next(name for name in tensors if "token_type_embeddings" in name)
    tensors[name] = np.ascontiguousarray(tensors[name][:1])
    save_file(tensors, other / "model.safetensors")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"type_vocab_size": 1}))
    with pytest.raises(CheckpointError, match="and 1 token types"):
        run(folder, "distil", teacher=other)


def test_scores_of_what_may_go_do_not_decay(folder, monkeypatch):
    """A weight is pulled to zero, a movement score is not, whatever its shape."""
    seen = []
    original = loop._Loop._optimizer

    def watched(self):
        optimizer = original(self)
        decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        seen.append({name: decays[id(parameter)] for name, parameter in self.parameters.items()})
        return optimizer

    monkeypatch.setattr(loop._Loop, "_optimizer", watched)
    run(folder, "block-movement", ratio=0.5, steps=2)
    decays = seen[0]
    scores = {value for name, value in decays.items() if name.startswith("scores.")}
    assert scores == {0.0}
    assert decays["layers.0.attention.query.weight"] > 0 == decays["layers.0.attention.query.bias"]


def test_data_without_answers(folder, tmp_path):
    rows = [{"id": "1", "question": "when?", "answers": [], "is_impossible": True}]
    data = squad(tmp_path / "d.json", [{"context": "ada wrote.", "qas": rows}])
    with pytest.raises(InputError, match="no answer stands in the text"):
        train(folder / "checkpoint", tmp_path / "out", Finetune(**BASE), data=data)
    assert not (tmp_path / "out").exists()


def stop_at(step: int):
    """A report that asks the run to stop once it is there."""

    def report(told) -> None:
        if told.point.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def test_the_state_of_another_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_STEPS", 1)
    with pytest.raises(KeyboardInterrupt):
        run(folder, "finetune", state=tmp_path, steps=4, report=stop_at(2))
    with pytest.raises(InputError, match="the state of another run"):
        run(folder, "finetune", state=tmp_path, steps=5, resume=True)


def test_the_state_of_a_stopped_run_is_not_overwritten(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_STEPS", 1)
    with pytest.raises(KeyboardInterrupt):
        run(folder, "finetune", state=tmp_path, steps=4, report=stop_at(2))
    stopped = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(InputError, match=r"state.pt: a run was stopped there; `resume` goes on with it"):
        run(folder, "finetune", state=tmp_path, steps=4)
    assert (tmp_path / "state.pt").read_bytes() == stopped


def test_a_state_folder_is_for_one_run_at_a_time(folder, tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="another run is using it") as raised:
        run(folder, "finetune", state=tmp_path, steps=2)
    assert not is_out_of_memory(raised.value)  # what the lock says is said of memory, too
    (tmp_path / ".state.pt.0011aabb.tmp").write_bytes(b"of a run that was killed")
    run(folder, "finetune", state=tmp_path, steps=2)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["windows"]


def test_nothing_to_resume_is_told(folder, tmp_path, caplog):
    # In one process with all other tests the level that the root logger has by then let nothing through.
    with caplog.at_level(logging.WARNING, "calibration.training.train"):
        run(folder, "finetune", state=tmp_path, steps=2, resume=True)
    assert "no run was stopped there" in caplog.text


def test_a_score_that_fails_tells_how_the_model_is_written(folder, tmp_path, monkeypatch):
    options = {"name": "unscored", "state": tmp_path, "steps": 2}
    scored = {"evaluation": folder / "data.json", "evaluations": 2, "limit": 5}

    def fail(*_):
        raise InputError("disk full")

    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"disk full; .*`resume` without `evaluation`"):
        patch.setattr(Run, "_evaluated", fail)
        run(folder, "finetune", **scored, **options)
    run(folder, "finetune", resume=True, **options)
    assert (folder / "unscored").is_dir()


def test_a_run_that_is_done_leaves_what_others_can_use(folder, tmp_path):
    run(folder, "prune-gain", ratio=0.4, samples=20, state=tmp_path, steps=2)
    kinds = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert kinds == ["teacher", "windows"]


@pytest.mark.parametrize(("steps", "times", "scored"), [(4, 2, [2, 4]), (5, 3, [2, 4, 5]), (2, 3, [1, 2])])
def test_the_model_is_scored_as_many_times_as_asked(folder, monkeypatch, steps, times, scored):
    monkeypatch.setattr(loop, "_REPORT_STEPS", 1)
    result = run(folder, "finetune", steps=steps, evaluations=times, evaluation=folder / "data.json", limit=2)
    assert [point.step for point in result.curve if point.f1 is not None] == scored


@pytest.mark.parametrize("which", [1, 2])
def test_an_evaluation_is_left_at_once_and_done_anew(folder, tmp_path, which):
    options = {"steps": 4, "evaluations": 2, "evaluation": folder / "data.json", "limit": 8}
    whole = run(folder, "finetune", name="whole", **options)
    asked = []

    def stop(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "evaluate":
            asked.append(done)
            if done == 3 and asked.count(3) == which:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(folder, "finetune", name="parts", state=tmp_path, progress=stop, **options)
    assert asked[-1] == 3
    parts = run(folder, "finetune", name="parts", state=tmp_path, resume=True, **options)
    curves = [[(point.step, point.exact_match, point.f1) for point in told.curve] for told in (whole, parts)]
    assert curves[0] == curves[1]
    files = [(folder / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_damaged_state(tmp_path):
    save_state(tmp_path / "state.pt", "run", {"step": 1})
    assert load_state(tmp_path / "state.pt", "run")["step"] == 1
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole training state"):
        load_state(tmp_path / "state.pt", "run")


def test_nothing_to_lock(folder):
    with pytest.raises(CheckpointError, match="no pattern to lock"):
        run(folder, "lock")


def test_a_loss_that_is_no_number(folder):
    with pytest.raises(CalibrationError, match=r"the loss is (nan|inf), no number; lower the learning rate"):
        run(folder, "finetune", learning_rate=1e30, steps=4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"epochs": 0.0}, "epochs: got 0"),
        ({"recipe": "prune-gates", "ratio": 1.0}, "ratio: got 1"),
        ({"recipe": "prune-gain"}, "give either ratio or speedup"),
        ({"ratio": 0.5}, "ratio: finetune does not use it, only prune-gain"),
        ({"steps": 3, "epochs": 2.0}, "steps, epochs: give one"),
        ({"recipe": "magnitude", "schedule": 0.5}, "schedule: mode local does not use it"),
        (
            {"mode": "global", "rule": "attention"},
            "mode: finetune .* only magnitude; .*rule: finetune .* only lengthdrop",
        ),
    ],
)
def test_options_that_cannot_be_used(changes, words):
    with pytest.raises(InputError, match=words):
        make_recipe(changes.pop("recipe", "finetune"), changes)


def test_what_lay_beside_the_state_stays(folder):
    (folder / "kept.state").mkdir()
    (folder / "kept.state" / "thesis.txt").write_text("mine")
    run(folder, "finetune", name="kept", steps=2)
    assert [path.name for path in (folder / "kept.state").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", ["out", "out/state", "checkpoint", "checkpoint/state"])
def test_a_state_folder_in_what_is_read_or_written_is_refused_at_once(folder, place):
    with pytest.raises(InputError, match="the state cannot lie in what is"):
        run(folder, "finetune", state=folder / place)
    assert not (folder / "out" / "state").exists()


def test_a_teacher_of_shorter_inputs(folder):
    shape = {"hidden": 64, "ffn": 96, "layers": 2, "positions": 32}
    other = write_checkpoint(folder / "short", tensors=bert_tensors(seed=1, **shape), config=bert_config(**shape))
    with pytest.raises(CheckpointError, match=r"short: takes inputs of 32 tokens and 2 token types"):
        run(folder, "distil", teacher=other)


@pytest.mark.parametrize("damage", [b"", b"not a zip", None], ids=["empty", "foreign", "cut"])
def test_damaged_windows_are_made_anew(folder, tmp_path, damage):
    first = windows_of(folder, folder / "data.json", tmp_path)
    (path,) = tmp_path.glob("windows-*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again = windows_of(folder, folder / "data.json", tmp_path)
    assert np.array_equal(first.ids, again.ids)
    assert np.array_equal(first.targets, again.targets)


def test_answers_that_are_plain_texts_are_looked_for(folder, tmp_path):
    rows = [{"id": "1", "question": "who?", "answers": ["ada"]}]
    data = squad(tmp_path / "d.json", [{"context": "ada wrote.", "qas": rows}])
    assert [told_places(example) for example in read_dataset(data)] == [[]]
    assert len(windows_of(folder, data, tmp_path)) == 1


def test_the_teachers_logits_are_kept_apart_by_what_they_were_computed_in(folder, tmp_path):
    tiny_checkpoint(folder / "teacher", seed=2)
    for compute in ("f32", "bf16"):
        run(folder, "distil", teacher=folder / "teacher", state=tmp_path, steps=2, compute=compute)
    kinds = [path.name.split("-")[3] for path in tmp_path.glob("teacher-*.f16")]
    assert sorted(kinds) == ["bfloat16", "float32"]


def test_weights_that_overflow_in_the_last_step_are_not_written(folder):
    with pytest.raises(CalibrationError, match="is not finite after the last step"):
        run(folder, "finetune", name="burst", learning_rate=1e39, warmup=0.0, steps=1)
    assert not (folder / "burst").exists()


def test_a_teacher_that_nothing_is_learnt_from_is_refused(folder):
    with pytest.raises(InputError, match="finetune learns nothing from one"):
        run(folder, "finetune", teacher=folder / "checkpoint")
