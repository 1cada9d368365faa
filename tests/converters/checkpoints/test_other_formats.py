"""Checkpoints that are wrapped, or no checkpoint of this kind: read, or named with what to do."""

import json

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from edge_qa.errors import CheckpointError
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "module._orig_mod.", "model._orig_mod."])
def test_a_prefix_of_every_tensor_is_left_out_and_told(tmp_path, prefix):
    tensors = {prefix + name: array for name, array in bert_tensors().items()}
    read = read_checkpoint(write_checkpoint(tmp_path / "wrapped", tensors=tensors))
    assert read.notes == (f"the name of every tensor begins with {prefix!r}, which was left out",)
    assert read.tensors.keys() == bert_tensors().keys()
    for name, array in bert_tensors().items():
        np.testing.assert_array_equal(read.tensors[name], array)


def test_the_result_of_a_conversion_says_it(tmp_path):
    tensors = {f"module.{name}": array for name, array in bert_tensors().items()}
    wrapped = convert(write_checkpoint(tmp_path / "wrapped", tensors=tensors), tmp_path / "a")
    plain = convert(write_checkpoint(tmp_path / "plain"), tmp_path / "b")
    assert wrapped.manifest.files["model.bin"] == plain.manifest.files["model.bin"]
    assert (len(wrapped.notes), len(plain.notes)) == (1, 0)


def test_a_prefix_of_some_tensors_is_none(tmp_path):
    tensors = {name if name.startswith("qa") else f"module.{name}": array for name, array in bert_tensors().items()}
    read = read_checkpoint(write_checkpoint(tmp_path / "some", tensors=tensors))
    assert read.notes == ()
    with pytest.raises(CheckpointError, match="missing"):
        read_encoder(read)


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("adapter_model.safetensors", "an adapter alone", "load it onto its base model with peft, merge it"),
        ("tf_model.h5", "TensorFlow weights alone", "from_tf=True"),
        ("bert_model.ckpt.index", "TensorFlow weights alone", "from_tf=True"),
        ("flax_model.msgpack", "Flax weights alone", "from_flax=True"),
        ("model.onnx", "an ONNX model", "import that file instead"),
        ("openvino_model.xml", "an OpenVINO model", "import that file instead"),
    ],
)
def test_weights_of_another_kind_are_named(tmp_path, name, what, remedy):
    folder = write_checkpoint(tmp_path / "other")
    (folder / "model.safetensors").rename(folder / name)
    message = rf"holds {what} \({name}\), and no model.safetensors; .*{remedy}"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)
    # Beside the weights themselves it does not matter.
    assert read_checkpoint(write_checkpoint(folder)).tensors


def test_an_adapter_without_a_configuration_is_named_too(tmp_path):
    folder = write_checkpoint(tmp_path / "adapter")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(CheckpointError, match="an adapter alone"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("architectures", "remedy"),
    [
        (["BertForQuestionAnswering"], 'add "model_type": "bert"'),
        (["XLMRobertaForQuestionAnswering"], 'add "model_type": "xlm-roberta"'),
        (["DistilBertForQuestionAnswering"], 'add "model_type": "distilbert"'),
        (None, "add it: one of albert, bert"),
    ],
)
def test_a_configuration_without_a_model_type(tmp_path, architectures, remedy):
    config = bert_config()
    del config["model_type"], config["architectures"]
    folder = write_checkpoint(tmp_path / "nameless", config=config)
    if architectures:
        (folder / "config.json").write_text(json.dumps(config | {"architectures": architectures}))
    with pytest.raises(CheckpointError, match=f"config.json: names no model_type.*{remedy}"):
        read_encoder(read_checkpoint(folder))
