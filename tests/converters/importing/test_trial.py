"""A model that crashes OpenVINO, or keeps it busy for ever, costs another process its life, and one line."""

from pathlib import Path

import numpy as np
import pytest

from converters.importing import reader, trial
from converters.importing.import_model import import_model
from converters.importing.model_file import read_source
from edge_qa._openvino import ov
from edge_qa.errors import CheckpointError
from tests.support.foreign_models import VOCAB, make_encoder, save, zoo_model

ops = ov.opset13


@pytest.fixture
def model(tmp_path) -> Path:
    return save(zoo_model(make_encoder()), tmp_path / "model.xml")


def test_an_operation_without_inputs_is_one_line(model, tmp_path):
    model.write_text(model.read_text().replace('type="Const"', 'type="Broadcast"', 1))
    with pytest.raises(
        CheckpointError, match=r"model\.xml: not a model that is safe to read \(.*Broadcast with 0 inputs"
    ):
        import_model(model, tmp_path / "out", vocab=VOCAB)
    assert not (tmp_path / "out").exists()


def test_a_loop_is_refused(tmp_path):
    state = ops.parameter([1], ov.Type.f32)
    step = ops.add(state, ops.constant(np.float32(1)))
    body = ov.Model([step, ops.constant([True])], [state], "body")
    loop = ops.loop(ops.constant(-1, ov.Type.i64), ops.constant([True]))
    loop.set_function(body)
    given = ops.parameter([1], ov.Type.f32)
    loop.set_special_body_ports([-1, 1])
    loop.set_merged_input(state, given.output(0), step.output(0))
    made = ov.Model([loop.get_iter_value(step.output(0), -1)], [given])
    with pytest.raises(CheckpointError, match=r"layer \d+: operation Loop .* is none that models of text consist of"):
        read_source(save(made, tmp_path / "loop.xml"), tmp_path / "out")


def break_reader(monkeypatch, tmp_path, how: str) -> None:
    """Let the reader of the other process do something else; this one must not come to it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"import os, signal, sys, time\nif 'converters.importing.trial' in ' '.join(sys.orig_argv):\n    {how}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(reader, "read_model", lambda path: pytest.fail("read"))


def test_a_crash_of_the_reader_is_one_line(model, monkeypatch, tmp_path):
    break_reader(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(CheckpointError, match=r"model\.xml: OpenVINO crashed as it read it \(SIGSEGV\)"):
        import_model(model, tmp_path / "out", vocab=VOCAB)


def test_a_reader_that_never_ends_is_one_line(model, monkeypatch, tmp_path):
    break_reader(monkeypatch, tmp_path, "time.sleep(60)")
    monkeypatch.setattr(trial, "_SECONDS", 1)
    with pytest.raises(CheckpointError, match=r"model\.xml: OpenVINO was not done with reading it after 1 s"):
        import_model(model, tmp_path / "out", vocab=VOCAB)


def test_a_model_larger_than_memory_does_not_take_it(tmp_path):
    # A constant that would be a terabyte, were it computed.
    given = ops.parameter([1], ov.Type.f32)
    large = ops.broadcast(ops.constant(np.float32(1)), ops.constant([2**20, 2**18], ov.Type.i64))
    made = ov.Model([ops.reduce_sum(ops.add(large, given), ops.constant([0, 1]))], [given])
    path = save(made, tmp_path / "large.xml")
    trial.try_to_read(path, [path], path)  # it met an error, and was not killed
