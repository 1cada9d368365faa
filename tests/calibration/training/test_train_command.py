"""What a user of `train` sees: exit codes, the curve of a run that was resumed, the files."""

import os
import signal

import pytest

from tests.support.command import Command

torch = pytest.importorskip("torch")

from calibration.training.recipes.hooks import RecipeHooks  # noqa: E402
from tests.support.tiny_training import run  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


def test_a_run_that_stopped_between_two_reports_tells_the_same_loss_and_all_of_its_time(folder, tmp_path, monkeypatch):
    steps = []

    def stop(self, number: int, total: int) -> None:
        steps.append(number)
        if steps == [0, 1, 2]:
            os.kill(os.getpid(), signal.SIGINT)

    whole = run(folder, "finetune", name="whole", steps=6)
    monkeypatch.setattr(RecipeHooks, "before_step", stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, "finetune", name="parts", state=tmp_path, steps=6)
    state = torch.load(tmp_path / "state.pt")
    state["seconds"] += 1000
    torch.save(state, tmp_path / "state.pt")
    parts = run(folder, "finetune", name="parts", state=tmp_path, steps=6, resume=True)
    assert steps == [0, 1, 2, 3, 4, 5]
    assert [(point.step, point.loss) for point in parts.curve] == [(point.step, point.loss) for point in whole.curve]
    assert 1000 < parts.seconds < 1060


def test_what_is_written_may_be_read_by_whoever_may_read_its_folder(folder):
    before = os.umask(0o022)
    try:
        run(folder, "finetune", name="open", steps=1)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "open").iterdir()}
    assert modes["model.safetensors"] == modes["config.json"] == 0o644


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("finetune", "--ratio", "0.3"), "ratio: finetune does not use it"),
        (("finetune", "--no-answer", "-1"), "no-answer: got -1"),
        (("finetune", "--negatives", "retrieved"), "negatives: there are none without no-answer"),
        (("distil",), "give --teacher"),
        (("finetune", "--hidden-weight", "1"), "give --teacher"),
        (("finetune", "--teacher", "."), "finetune learns nothing from one"),
        (("finetune", "--limit", "3"), "give --evaluation, or"),
    ],
)
def test_options_of_the_command_that_do_not_fit_are_wrong_usage(folder, command, options, words):
    places = (folder / "checkpoint", folder / "refused", "--data", folder / "data.json")
    shown = command("train", *places, "--recipe", *options)
    assert shown.code == 2
    assert words in shown.err
    assert not (folder / "refused.state").exists()
