"""python -m benchmarks: what it refuses, and how it stops."""

import pytest

from benchmarks.side_by_side import command
from benchmarks.side_by_side.run import Benchmark
from benchmarks.side_by_side.store import read_results


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
